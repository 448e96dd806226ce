"""What is measured of each layer when a person asks for it: latency on the device, dead channels and zeros for the
picture."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from explorer.analysis.channels import channel_use
from explorer.analysis.layer_latency import layer_latencies
from explorer.errors import UserError
from explorer.figures import units
from explorer.figures.prediction import percent
from explorer.graph.trace import trace
from explorer.run import device
from explorer.run.cancel import Cancellable
from explorer.ui import jobs, weights
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

LATENCY, DEAD, ZEROS = "Latency (ms)", "Dead channels", "Zeros"
SHARES = (DEAD, ZEROS)
TIMED, LOOKED = "layer latency", "dead channels"  # the kinds of the jobs
MOST_MACS = 10**12  # some ten seconds of two cores
KEPT = 16  # measurements of a session that are kept
LayerMetrics = dict[str, dict[str, float]]  # name → layer id → figure
Measured = tuple[LayerMetrics, str]  # with a sentence on how


def metrics(session: Session) -> LayerMetrics:
    """What has been measured of this network, device and picture: name → layer id → figure, LATENCY in milliseconds and
    SHARES from 0 to 1."""
    found = {key: one for key in (_timed_key(session), _looked_key(session)) if (one := _measured().get(key))}
    _drawn().update(found)
    return {name: figures for one in found.values() for name, figures in one[0].items()}


def of_layer(session: Session, layer: str) -> dict[str, str]:
    """What has been measured of one layer, by name, in words."""
    found = {name: figures[layer] for name, figures in metrics(session).items() if layer in figures}
    return {name: percent(value) if name in SHARES else f"{value:.3g}" for name, value in found.items()}


def render(session: Session) -> None:
    """The buttons that measure, what is under way, and how the figures at hand came about."""
    _control(TIMED, _timed_key(session), session, "Measure latency", ":material/timer:", _time)
    _control(LOOKED, _looked_key(session), session, "Find dead channels", ":material/visibility_off:", _look)


def _timed_key(session: Session) -> tuple[str, ...]:
    return TIMED, session.network.key, session.device


def _looked_key(session: Session) -> tuple[str, ...]:
    return LOOKED, *session.key


def _measured() -> dict[tuple[str, ...], Measured]:
    return st.session_state.setdefault("measured layers", {})


def _drawn() -> set[tuple[str, ...]]:
    """The measurements that the page has drawn."""
    return st.session_state.setdefault("drawn layers", set())


def _control(
    kind: str, key: tuple[str, ...], session: Session, label: str, icon: str,
    measure: Callable[[Session, Job], Measured],
) -> None:  # fmt: skip
    """A button that asks for a measurement, the job that takes it, and its sentence."""
    job_key = (*session.key, key)
    job = jobs.current(kind, job_key)
    found = _measured()
    if st.session_state.get(_asked(kind)) == key and key not in found and job is None:
        if kind == TIMED and (other := jobs.under_way(besides=(kind, weights.DOWNLOAD))):
            jobs.show(other, f"Waiting for what would slow the measurement: {other.key[0]}")
            return
        job = jobs.start(kind, job_key, _work(found, key, session, measure), show=lambda done: f"{done}")
    if job is not None and not job.finished:
        jobs.show(job, label)
        return
    if key in found and key not in _drawn():  # measured since the graph was drawn, which is to show it too
        _drawn().add(key)
        st.rerun()
    if job is not None and job.error:
        st.error(markdown_safe(job.error), icon=":material/error:")
    st.button(f"{label} again" if key in found else label, key=f"measure {kind}", icon=icon, on_click=_ask,
              args=(kind, key))  # fmt: skip
    if key in found:
        st.caption(markdown_safe(found[key][1]))


def _asked(kind: str) -> str:
    return f"asked for {kind}"


def _ask(kind: str, key: tuple[str, ...]) -> None:
    st.session_state[_asked(kind)] = key
    _measured().pop(key, None)
    _drawn().discard(key)
    jobs.discard(kind)


def _work(
    found: dict[tuple[str, ...], Measured], key: tuple[str, ...], session: Session,
    measure: Callable[[Session, Job], Measured],
) -> Callable[[Job], None]:  # fmt: skip
    """The job, which puts what it measured into `found`; the oldest go."""

    def work(job: Job) -> None:
        found[key] = measure(session, job)
        for old in list(found)[:-KEPT]:
            found.pop(old)

    return work


def _time(session: Session, job: Job) -> Measured:
    """Of a network with random weights, which take as long as any others."""
    figures = session.analysis
    device.ensure_fits(figures.weight_bytes + figures.peak_bytes, session.device, session.preset)
    if session.device == "cpu" and figures.macs > MOST_MACS:
        took = f"{session.preset} takes {units.count(figures.macs)} MACs a pass"
        raise UserError(f"{took}; on a CPU at most {units.count(MOST_MACS)} are timed.")
    with Cancellable(job.should_stop):
        module = session.network.build("cpu").to(session.device)
    found = layer_latencies(
        trace(module, session.input_size), cancel=job.should_stop,
        progress=lambda share: job.progress(round(100 * share), 100),
    )  # fmt: skip
    return {LATENCY: {name: 1000 * seconds for name, seconds in found.seconds.items()}}, found.sentence()


def _look(session: Session, job: Job) -> Measured:
    loaded = session.load(job.should_stop)
    use = channel_use(loaded.program, session.input, progress=job.progress, cancel=job.should_stop)
    figures = {DEAD: {name: one.dead for name, one in use.items()}, ZEROS: {n: one.zeros for n, one in use.items()}}
    own = [one for name, one in use.items() if one.activation == name]
    return figures, _told(sum(round(one.dead * one.channels) for one in own), sum(one.channels for one in own))


def _told(dead: int, channels: int) -> str:
    if not channels:
        return "No layer of this network rectifies: it has no dead channels."
    return (
        f"Dead for this picture: {dead:,} of {channels:,} channels behind activations, of which no unit is above 0. "
        "Zeros are values that are exactly 0. A layer that leads to an activation alone has the figures behind it."
    )
