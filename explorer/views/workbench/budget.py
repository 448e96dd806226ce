"""Budget: limits on what the network takes, what passes them, and the scaling that keeps them."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

import models
from explorer.analysis import latency
from explorer.analysis.latency import Latency
from explorer.errors import UserError, in_percent
from explorer.networks import scaling
from explorer.networks.catalog import spec_key
from explorer.networks.fit_budget import LATENCY, LIMITED, BudgetFit, fit
from explorer.networks.footprint import footprint
from explorer.networks.knob_text import plain
from explorer.run import device
from explorer.ui import jobs, state
from explorer.ui.awaited import awaited
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from models.spec import NetSpec

LARGEST_LIMIT = {LATENCY: 1e6}  # in the figure's unit; a million million of all others
WAY_TITLES = {
    scaling.WIDTH: "Width",
    scaling.DEPTH: "Depth",
    scaling.RESOLUTION: "Resolution",
    scaling.COMPOUND: "All three",
}
SETTINGS = (
    *(Setting(f"max_{name}", 0.0, low=0.0, high=LARGEST_LIMIT.get(name, 1e12)) for name in LIMITED),
    Setting("scale_by", scaling.WIDTH, choices=scaling.WAYS),
)
DEFINITIONS = (
    "Of one image in float32. Peak memory is the most that activations hold at once. On disk are parameters and "
    "buffers; float16 takes two bytes for each float; int8 one byte for each weight of a convolution or linear layer "
    "and a float32 scale per output channel, the rest in float32. Limits are in the unit of their figure; 0 is none."
)
_FIT, _MEASURE = "budget", "latency of the network"
SHORTEST_RUN_S = 0.2  # a candidate is timed for, which is one of several


def render(session: Session) -> None:
    """The figures with their limits, the way of scaling, and what the last search found."""
    taken = figures(session)
    with st.container(gap="xsmall"):
        for name in LIMITED:
            _row(name, taken.get(name))
    _measure(session)
    _fit(session)
    st.caption(DEFINITIONS)


def figures(session: Session) -> dict[str, float]:
    """What the network at hand takes, by the names of the limits; a latency only where it was measured."""
    found: dict[str, float] = dict(footprint(session.spec)._asdict())
    measured = _latencies().get(session.network_key)
    return found | ({LATENCY: measured.median_s} if measured else {})


def limits() -> dict[str, float]:
    """The limits that are set, in numbers, bytes and seconds."""
    return {
        name: state.get(f"max_{name}") * limited.per for name, limited in LIMITED.items() if state.get(f"max_{name}")
    }


def _row(name: str, taken: float | None) -> None:
    limited, limit = LIMITED[name], limits().get(name)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(verdict(name, taken, limit), width="stretch")
        state.control(
            st.number_input, f"max_{name}", f"Limit on {limited.title}, in {limited.unit}", min_value=0.0,
            max_value=LARGEST_LIMIT.get(name, 1e12), step=_step(taken, limited.per), format="%.6g", width=128,
            label_visibility="collapsed",
        )  # fmt: skip


def _step(taken: float | None, per: float) -> float:
    """A tenth of the figure, to one digit, so that the buttons of a limit do something."""
    return float(f"{(taken or per) / per / 10:.0e}") or 0.1


def verdict(name: str, taken: float | None, limit: float | None) -> str:
    """A figure as Markdown: green with a tick where it keeps its limit, red with a cross where it does not."""
    limited = LIMITED[name]
    title = limited.title[0].upper() + limited.title[1:]
    if taken is None:
        return f"{title}  \nnot measured"
    value = f"{taken / limited.per:,.4g} {limited.unit}"
    if limit is None:
        return f"{title}  \n**{value}**"
    if taken <= limit:
        return f"{title}  \n:green[:material/check_circle: **{value}**, {in_percent(1 - taken / limit, 1)} left]"
    return f"{title}  \n:red[:material/cancel: **{value}**, {in_percent(taken / limit - 1, 1)} above]"


# -- the search -------------------------------------------------------------------------------------------------------


def _fit(session: Session) -> None:
    ways = scaling.ways(session.spec)
    way = state.get("scale_by") if state.get("scale_by") in ways else ways[0]
    state.keep(
        st.segmented_control, "scale_by", "Scale", way, lambda value: state.put("scale_by", value), options=ways,
        required=True, format_func=WAY_TITLES.__getitem__,
        help="What is changed to meet the limits. All three by one coefficient is compound scaling (Tan and Le 2019, "
        "equation 3).",
    )  # fmt: skip
    wanted = limits()
    asked = (spec_key(session.spec), way, tuple(wanted.items()))
    st.button(
        "Fit to the limits", icon=":material/fit_width:", type="primary", on_click=_ask, args=(asked,),
        disabled=not wanted or session.spec_error is not None,
        help="The largest network that keeps all limits. It goes into the knobs; one step back undoes it.",
    )  # fmt: skip
    if st.session_state.get("budget asked") == asked:
        try:
            found = awaited(_FIT, (*session.key, *asked), "Fitting", lambda job: _search(session, way, wanted, job))
        except UserError as error:  # said below until something else is asked, and not tried again at every rerun
            st.session_state.pop("budget asked")
            st.session_state["budget refused"] = asked, str(error)
            found = None
        if found is not None:
            _take(found)
    refused, why = st.session_state.get("budget refused", (None, ""))
    if refused == asked:
        st.error(markdown_safe(why), icon=":material/error:")
    key, sentence = st.session_state.get("budget found", ("", ""))
    if key == spec_key(session.spec):
        st.success(markdown_safe(sentence), icon=":material/straighten:")


def _ask(asked: tuple[str, str, tuple[tuple[str, float], ...]]) -> None:
    st.session_state["budget asked"] = asked
    st.session_state.pop("budget refused", None)
    st.session_state.pop("budget found", None)
    jobs.discard(_FIT)


def _search(session: Session, way: str, wanted: Mapping[str, float], job: Job) -> BudgetFit:
    def latency_s(spec: NetSpec) -> float:
        return timed(spec, session.device, job, SHORTEST_RUN_S).median_s

    return fit(session.spec, wanted, way, latency_s=latency_s, progress=lambda tried: job.progress(tried, 0))


def _take(found: BudgetFit) -> None:
    """Put the knobs that were found into the state, and say what they come to where they are then drawn."""
    values = plain(found.spec)
    state.put_knobs({name: values[name] for name in found.changes})
    what = WAY_TITLES[found.way].lower() if found.changes else "nothing had to change"
    st.session_state["budget found"] = spec_key(found.spec), f"{what[0].upper()}{what[1:]}: {found.sentence()}"
    st.session_state.pop("budget asked")
    st.rerun()


# -- latency ----------------------------------------------------------------------------------------------------------


def _measure(session: Session) -> None:
    """The button that measures, or the job at work."""
    if st.session_state.get("latency asked") == session.network_key:
        found = awaited(
            _MEASURE, session.key, f"Timing {session.preset}", lambda job: timed(session.spec, session.device, job)
        )
        if found is not None:
            _latencies()[session.network_key] = found
            st.session_state.pop("latency asked")
            st.rerun()
        return
    label = "Measure again" if session.network_key in _latencies() else "Measure latency"
    st.button(label, icon=":material/timer:", on_click=_ask_latency, args=(session.network_key,))


def _ask_latency(key: tuple[str, ...]) -> None:
    st.session_state["latency asked"] = key
    jobs.discard(_MEASURE)


def _latencies() -> dict[tuple[str, ...], Latency]:
    return st.session_state.setdefault("network latencies", {})


def timed(spec: NetSpec, place: str, job: Job, least_s: float = latency.LEAST_S) -> Latency:
    """One forward pass of a Spec's network on a device. Raises MemoryLimitError before it is built, Cancelled."""
    taken = footprint(spec)
    device.ensure_fits(taken.float32_bytes + taken.peak_bytes, place, models.architecture_for(spec).title)
    module = models.build(spec).to(place)
    size = (spec.in_channels, spec.image_size, spec.image_size)
    return latency.measure(
        module, size, device=place, least_s=least_s, cancel=job.should_stop,
        progress=lambda share: job.progress(int(100 * share), 100) if least_s == latency.LEAST_S else None,
    )  # fmt: skip
