"""Occlusion: a square slides over the picture, and the network says at each position what it still sees."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
import torch

from explorer.analysis import latency
from explorer.analysis.occluder import default_stride, default_window
from explorer.analysis.occlusion import OcclusionMap, OcclusionSettings, occlusion_steps
from explorer.figures import prediction, raster
from explorer.graph.names import layer_or_none
from explorer.networks.knob_text import shorten
from explorer.networks.questions import OcclusionQuestion
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import run
from explorer.ui import components, jobs, output_control, prepared, state, untrained
from explorer.ui.awaited import awaited
from explorer.ui.components import Outline
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.occlusion import maps
from explorer.views.occlusion.maps import Shown
from explorer.views.occlusion.square import CHEAP_MACS, filling, or_default, positions

KIND = "occlusion"
COMPUTED_BY = {"auto": "Whichever is faster", "full": "Whole passes", "incremental": "Changes alone"}
FILLS = {"gray": "Gray", "mean": "Mean colour", "blur": "Blur"}
MOST_MEGABYTES = 1_000_000
LIKELY = "Most probable"
NO_LAYER = "None"
ALONE = "The strongest alone"


@dataclass(frozen=True)
class Asked:
    """What is to be run: the class (None: the most probable), the side of the square in pixels, and all settings."""

    target: int | None
    window_px: int
    settings: OcclusionSettings


def render(session: Session) -> None:
    """Draw the whole page."""
    if session.spec_error:
        st.warning("This is the last network that could be built.", icon=":material/history:")
    untrained.render(session)
    asked, channel = _controls(session)
    key = (*session.key, asked)
    job = jobs.current(KIND, key)
    passes = positions(session, asked.settings)
    if job is None and passes * session.analysis.macs <= CHEAP_MACS:
        job = jobs.start(KIND, key, _work(session, asked))
    if job is None:
        _ask(session, asked, key, passes)
        _preview(session, asked)
    elif not job.finished:
        filled = filling(session, asked.settings.fill)
        jobs.show(job, "Sliding the square", lambda running: _so_far(session, running.partial, filled, channel))
    else:
        _ended(session, asked, key, job, channel)


def _preview(session: Session, asked: Asked) -> None:
    """The picture with a square of the chosen size in the middle, before anything has run."""
    prepared.render(session)
    height, width = size = session.preprocessing.crop
    top, left = (height - asked.window_px) // 2, (width - asked.window_px) // 2
    with st.columns([1, 2])[0]:
        components.picture(
            raster.enlarge(session.view, raster.zoom_of(size)), "The picture and the square", key="preview",
            at=raster.stretched((1, 1), size),
            outlines=[Outline((top, left, top + asked.window_px, left + asked.window_px), "the square")],
        )  # fmt: skip
        st.caption("The square, in proportion. It will slide over the whole picture.")


# -- settings ---------------------------------------------------------------------------------------------------------


def _controls(session: Session) -> tuple[Asked, int | None]:
    """What is to be run, and the map of the layer that is shown beside the strongest."""
    side = min(session.preprocessing.crop)
    window = _within("window", state.get("window"), side, default_window(side), f"the image of {side} px")
    stride = _within("stride", state.get("stride"), side, default_stride(window), f"the image of {side} px")
    names, target, named = session.categories, state.get("target"), state.get("occluded")
    if target >= len(names):
        _warn(f"target={target} is not a class: they go from 0 to {len(names) - 1}. The most probable is used.")
        target = -1
    layers = [found.id for found in session.analysis.layers if found.is_map and found.kind != "input"]
    layer = (layer_or_none(session.analysis.graph, named) if named else "") or ""
    if named and layer not in layers:
        _warn(f"occluded={shorten(named)} is not a layer with maps in this network; none is summed.")
        layer = ""
    with st.container(border=True), st.grid(min_column_width=150, gap="small", vertical_alignment="bottom"):
        _number("window", "Window (px)", window, side, "Side of the square that is hidden.")
        _number("stride", "Stride (px)", stride, side, "Pixels from one position to the next.")
        state.control(st.selectbox, "fill", "Filled with", options=list(FILLS), format_func=FILLS.__getitem__)
        state.keep(st.selectbox, "occlusion target", "Target class", target, lambda c: _choose("target", c),
                   options=range(-1, len(names)), format_func=_labels(names).__getitem__)  # fmt: skip
        state.keep(st.selectbox, "occlusion layer", "Sum a layer's map", layer,
                   lambda name: _choose("occluded", name), options=["", *layers],
                   format_func=lambda name: name or NO_LAYER,
                   help="Zeiler and Fergus 2014, figure 7 (b): the sum of the strongest map of a layer.")  # fmt: skip
        summed = _summed(session, layer)
        state.control(st.selectbox, "method", "Computed by", options=list(COMPUTED_BY),
                      format_func=COMPUTED_BY.__getitem__,
                      help="Whole passes, or only what the square can reach. The maps are the same.")  # fmt: skip
        state.control(
            st.number_input, "memory", "Memory (MB, 0: auto)", min_value=0, max_value=MOST_MEGABYTES, step=100,
            help="The most that the run takes at once beside the weights; 0 leaves it to the program.",
        )  # fmt: skip
        output_control.render()
    settings = OcclusionSettings(
        window, stride, state.get("fill"), layer or None, state.get("method"), output=output_control.chosen(),
        memory_bytes=state.get("memory") * 10**6 or None,
    )  # fmt: skip
    return Asked(target if target >= 0 else None, window, settings), summed


def _summed(session: Session, layer: str) -> int | None:
    """The map of the layer that is shown beside the strongest, if there is one."""
    if not layer:
        return None
    channels, channel = _channels(session, layer), state.get("summed")
    if channel >= channels:
        _warn(f"summed={channel} is not a map of {layer}: they go from 0 to {channels - 1}. The strongest is shown.")
        channel = -1
    state.keep(st.selectbox, "occlusion channel", "And of its map", channel, lambda c: _choose("summed", c),
               options=range(-1, channels), format_func=lambda c: str(c) if c >= 0 else ALONE)  # fmt: skip
    return channel if channel >= 0 else None


def _channels(session: Session, layer: str) -> int:
    graph = session.analysis.graph
    return arrangement(graph, layer).channels(graph[layer].output_shape)


def _labels(names: Sequence[str]) -> dict[int, str]:
    """What the classes are called in a list, where two of one name need their numbers."""
    count = Counter(names)
    return {-1: LIKELY} | {i: name if count[name] == 1 else f"{name} ({i})" for i, name in enumerate(names)}


def _within(name: str, value: int, high: int, default: int, what: str) -> int:
    """A setting of the link that 0 leaves to us; one sentence where it is too large."""
    if value > high:
        _warn(f"{name}={value} is larger than {what}; {default} is used.")
    return or_default(value, high, default)


def _warn(sentence: str) -> None:
    st.warning(markdown_safe(sentence), icon=":material/link_off:")


def _number(name: str, label: str, value: int, high: int, help: str) -> None:
    state.keep(st.number_input, f"occlusion {name}", label, value, lambda new: _choose(name, new), min_value=1,
               max_value=high, step=1, help=help)  # fmt: skip


def _choose(name: str, value: Any) -> None:
    state.put(name, value)
    if name in ("window", "stride"):
        state.put("position", "")


def question(session: Session) -> OcclusionQuestion:
    """The run at hand, as a question."""
    side, graph = min(session.preprocessing.crop), session.analysis.graph
    window = or_default(state.get("window"), side, default_window(side))
    stride = or_default(state.get("stride"), side, default_stride(window))
    target, named, channel = state.get("target"), state.get("occluded"), state.get("summed")
    layer = (named and layer_or_none(graph, named)) or None
    return OcclusionQuestion(
        target if 0 <= target < len(session.categories) else None, window, stride, state.get("fill"),
        layer, state.get("method"), output_control.chosen(),
        channel if layer and 0 <= channel < _channels(session, layer) else None, state.get("memory") * 10**6 or None,
    )  # fmt: skip


# -- the run ----------------------------------------------------------------------------------------------------------


def _work(session: Session, asked: Asked, partial: OcclusionMap | None = None) -> Any:
    """The job, which goes on from a partial map if there is one. What cannot be had, as a picture that was taken away,
    is its error."""

    def work(job: Job) -> OcclusionMap | None:
        image, filled = session.input, filling(session, asked.settings.fill)
        program = session.load(job.should_stop).program
        settings = replace(asked.settings, fill_value=filled)
        for found in occlusion_steps(program, image, asked.target, settings, partial=partial, cancel=job.should_stop):
            job.progress(int(found.done.sum()), found.done.size, found)
        return job.partial

    return work


@st.cache_data(max_entries=16, show_spinner=False)
def _pass_seconds(key: Any, _session: Session, _cancel: Callable[[], bool]) -> float:
    program, image = _session.load(_cancel).program, _session.input
    synchronise = latency.synchroniser(image.device)
    for _ in range(2):  # the first chooses kernels
        started = time.perf_counter()
        run(program, image, cancel=_cancel)
        synchronise()
    return time.perf_counter() - started


def _ask(session: Session, asked: Asked, key: tuple[Any, ...], passes: int) -> None:
    """How long it would take, and the button that starts it."""

    def work(job: Job) -> float:
        return _pass_seconds(session.network_key, session, job.should_stop)

    seconds = awaited("timing", session.key, f"Timing one forward pass of {session.preset}", work)
    if seconds is not None:
        took = jobs.duration(max(1, passes * seconds))
        text = f"**{_count(passes)}**: at most about {took} on {session.device.upper()}."
        _run_button("Run", text, session, asked, key)


def _ended(session: Session, asked: Asked, key: tuple[Any, ...], job: Job, channel: int | None) -> None:
    """What came of the run: all of it, a part, or an error; then the button that goes on, or runs it again."""
    found: OcclusionMap | None = job.partial
    if found is not None and found.done.all():
        st.markdown(f"{_count(found.done.size)}, took {job.elapsed_s:.1f} s.")
    elif job.error or found is None:
        _run_button("Run again", "", session, asked, key)
    else:
        stopped = f"Stopped after {found.done.sum():,} of {_count(found.done.size)}; the clear cells were not tried."
        _run_button("Continue", f":orange-badge[Partial] {stopped}", session, asked, key, job)
    if job.error:
        st.error(markdown_safe(job.error), icon=":material/error:")
    elif found is not None:
        _result(session, asked, found, channel)


def _run_button(
    label: str, text: str, session: Session, asked: Asked, key: tuple[Any, ...], stopped: Job | None = None
) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(label, type="primary", icon=":material/play_arrow:", on_click=_start,
                  args=(session, asked, key, stopped))  # fmt: skip
        st.markdown(text)


def _count(passes: int) -> str:
    return f"{passes:,} positions" if passes > 1 else "1 position"


def _start(session: Session, asked: Asked, key: tuple[Any, ...], stopped: Job | None = None) -> None:
    """Run it, or go on where a job was stopped."""
    jobs.discard(KIND)
    if stopped is None:
        jobs.start(KIND, key, _work(session, asked))
    else:
        jobs.start(KIND, key, _work(session, asked, stopped.partial), earlier_s=stopped.elapsed_s)


def _so_far(session: Session, found: OcclusionMap | None, filling: torch.Tensor, channel: int | None) -> None:
    if found is not None:
        maps.draw(Shown(session, maps.snapshot(found), filling, channel=channel))


# -- the result -------------------------------------------------------------------------------------------------------


def _result(session: Session, asked: Asked, found: OcclusionMap, channel: int | None) -> None:
    if not found.done.any():
        return
    _lowest(session, found)
    chosen = maps.decode_cell(state.get("position"), found.shape) or found.lowest
    shown = Shown(session, found, filling(session, asked.settings.fill), chosen, channel)
    maps.draw(shown)
    left, right = st.columns([1, 1], gap="large")
    with left:
        maps.position(shown)
    with right:
        maps.files(shown)


def _lowest(session: Session, found: OcclusionMap) -> None:
    name, (top, left, bottom, right) = markdown_safe(session.categories[found.target]), found.box(*found.lowest)
    now, before = (prediction.in_words(float(value), found.output)
                   for value in (found.probability[found.lowest], found.baseline))  # fmt: skip
    where = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}"
    falls = found.probability[found.lowest] < found.baseline
    st.markdown(
        f"**{name}** falls from **{before}** to **{now}** when the dashed square is hidden ({where})." if falls else
        f"**{name}** is at {before} without a square, and no square lowers it."
    )  # fmt: skip
    st.caption(prediction.explained(found.output, found.tensor))
    prepared.render(session)
    if not found.is_finite:
        st.error("At some positions the output holds NaN or infinity: they are drawn in vermilion.")


VIEW = View(
    "occlusion", "Occlusion", ":material/filter_center_focus:", 2, render,
    settings=(
        Setting("window", 0, low=0, high=4096),
        Setting("stride", 0, low=0, high=4096),
        Setting("fill", "gray", choices=tuple(FILLS)),
        Setting("method", "auto", choices=tuple(COMPUTED_BY)),
        Setting("memory", 0, low=0, high=MOST_MEGABYTES),
        Setting("target", -1, low=-1, high=100_000, of_network=True),
        Setting("occluded", "", of_network=True),
        *maps.SETTINGS,
        *output_control.SETTINGS,
    ),
    question=question,
)  # fmt: skip
