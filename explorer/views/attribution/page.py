"""Attribution: which pixels a class's score is due to, by several methods side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st
import torch

from explorer.analysis.attribution import attribute, images_run
from explorer.analysis.attribution_metrics import CURVE_STEPS, infidelity, pixel_curve, sensitivity
from explorer.analysis.attribution_settings import (
    ATTRIBUTION_METHODS,
    DEFAULT_METHODS,
    AttributionMethod,
    AttributionSettings,
    checked_method,
    refusal,
)
from explorer.analysis.occluder import default_stride, default_window, fill_values, square_boxes
from explorer.analysis.occlusion import OnProgress
from explorer.errors import UserError, in_percent
from explorer.graph.names import layer_or_none
from explorer.networks.knob_text import shorten
from explorer.networks.questions import AttributionQuestion
from explorer.ui import jobs, output_control, prepared, state, untrained
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.attribution import results
from explorer.views.attribution.results import METHOD_TITLES, Judged

KIND = "attribution"
ABSENCE = {"gray": "Gray", "mean": "Mean colour", "blur": "Blur"}
SHORT_TITLES: dict[AttributionMethod, str] = {
    **METHOD_TITLES, "guided": "Guided", "input_x_gradient": "Input × grad", "integrated_gradients": "Integrated",
}  # fmt: skip
STARTED_MACS = 60 * 10**9  # half a minute on two cores: started without being asked
BACK = 3  # a pass forward and back costs about three forward
INFIDELITY_SQUARES = 40
SHAKES = 10  # noises that sensitivity tries, beside the picture itself


@dataclass(frozen=True)
class Question:
    """What is to be attributed by which methods: the class (None: the most probable), and all settings; shaken: whether
    their sensitivity is measured."""

    target: int | None
    methods: tuple[AttributionMethod, ...]
    settings: AttributionSettings
    shaken: bool


def render(session: Session) -> None:
    """Draw the whole page."""
    if session.spec_error:
        st.warning("This is the last network that could be built.", icon=":material/history:")
    untrained.render(session)
    asked = _controls(session)
    if asked.methods:
        _answer(session, asked)
    else:
        st.info("Choose at least one method.", icon=":material/rule:")
    prepared.render(session)


def _answer(session: Session, asked: Question) -> None:
    """What the methods say, as far as they have run; a run that takes long waits for its button."""
    key = (*session.key, asked)
    job, passes = jobs.current(KIND, key), _passes(session, asked)
    if job is None and passes * session.analysis.macs <= STARTED_MACS:
        job = jobs.start(KIND, key, _work(session, asked))
    if job is None:
        _run_button("Run", f"As much work as {passes:,} forward passes.", session, asked, key)
    elif not job.finished:
        jobs.show(job, "Running the methods", lambda running: _so_far(session, running.partial))
    else:
        _ended(session, asked, key, job)


def _so_far(session: Session, judged: Sequence[Judged] | None) -> None:
    if judged:
        results.draw(session, judged)
        results.legend()


def _ended(session: Session, asked: Question, key: tuple[Any, ...], job: Job) -> None:
    """What came of the run: all of it, a part, or an error; then the button that runs it again."""
    judged: Sequence[Judged] = job.partial or ()
    if job.error:
        _run_button("Run again", "", session, asked, key)
        st.error(markdown_safe(job.error), icon=":material/error:")
        return
    if len(judged) < len(asked.methods):
        text = f":orange-badge[Partial] Stopped after {len(judged)} of {len(asked.methods)} methods."
        _run_button("Run again", text, session, asked, key)
    _headline(session, judged)
    _so_far(session, judged)
    results.compared(session, judged)


def _headline(session: Session, judged: Sequence[Judged]) -> None:
    found = next((each.found for each in judged if each.found is not None), None)
    if found is not None:
        name = markdown_safe(session.categories[found.target])
        st.markdown(f"Why **{name}**, which the network gives {in_percent(found.probability)}?")


def _run_button(label: str, text: str, session: Session, asked: Question, key: tuple[Any, ...]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(label, type="primary", icon=":material/play_arrow:", on_click=_start, args=(session, asked, key))
        st.markdown(text)


def _start(session: Session, asked: Question, key: tuple[Any, ...]) -> None:
    jobs.discard(KIND)
    jobs.start(KIND, key, _work(session, asked))


# -- settings ---------------------------------------------------------------------------------------------------------


def _controls(session: Session) -> Question:
    names, target, layer = session.categories, state.get("attributed"), _layer(session)
    if target >= len(names):
        _warn(f"attributed={target} is not a class: they go from 0 to {len(names) - 1}. The most probable is used.")
        target = -1
    pills = partial(
        st.pills, options=list(ATTRIBUTION_METHODS), selection_mode="multi", format_func=SHORT_TITLES.__getitem__
    )
    state.keep(pills, "attribution methods", "Methods", list(_methods(state.get("methods"))), _choose_methods)
    labels = {-1: "Most probable"} | {i: f"{name} ({i})" for i, name in enumerate(names)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.keep(st.selectbox, "attribution target", "Class", target, lambda c: state.put("attributed", c),
                   options=list(labels), format_func=labels.__getitem__, width=220)  # fmt: skip
        with st.popover("Settings", icon=":material/tune:", key="attribution settings"):
            _settings(session, layer)
    settings = AttributionSettings(layer or None, state.get("absence"), output=output_control.chosen())
    return Question(target if target >= 0 else None, _methods(state.get("methods")), settings, state.get("shaken"))


def _settings(session: Session, layer: str) -> None:
    layers = [found.id for found in session.analysis.layers if found.is_map and found.kind != "input"]
    state.keep(st.selectbox, "attribution layer", "Layer of the CAMs", layer, lambda name: state.put("weighed", name),
               options=["", *layers], format_func=lambda name: name or "Last map",
               help="Whose maps Grad-CAM and Layer-CAM weigh. The last map is that before the last pools.")  # fmt: skip
    state.control(st.selectbox, "absence", "Without the picture", options=list(ABSENCE),
                  format_func=ABSENCE.__getitem__,
                  help="What stands for its absence: in squares, baselines and deletion.")  # fmt: skip
    output_control.render()
    state.control(
        st.toggle,
        "shaken",
        "Sensitivity",
        help=f"How much each map changes under small noise: every method runs {SHAKES + 1} times more.",
    )


def _layer(session: Session) -> str:
    named = state.get("weighed")
    found = (layer_or_none(session.analysis.graph, named) if named else "") or ""
    if named and not (found and session.analysis[found].is_map):
        _warn(f"weighed={shorten(named)} is not a layer with maps in this network; the last map is weighed.")
        return ""
    return found


def _warn(sentence: str) -> None:
    st.warning(markdown_safe(sentence), icon=":material/link_off:")


def _methods(text: str) -> tuple[AttributionMethod, ...]:
    """The methods that a link names, in the order of the list."""
    named = {part.strip() for part in text.split(",")}
    return tuple(method for method in ATTRIBUTION_METHODS if method in named)


def _choose_methods(chosen: Sequence[str]) -> None:
    state.put("methods", ",".join(method for method in ATTRIBUTION_METHODS if method in chosen))


def _check_methods(text: str) -> None:
    for part in text.split(","):
        if part.strip():
            checked_method(part.strip())


# -- the run ----------------------------------------------------------------------------------------------------------


def _passes(session: Session, asked: Question) -> int:
    """The work of all methods and of what judges them, in forward passes."""
    return sum(_of_method(session, method, asked) for method in asked.methods)


def _of_method(session: Session, method: AttributionMethod, asked: Question) -> int:
    alone = _alone(session, method, asked)
    return alone + 2 * (CURVE_STEPS + 1) + INFIDELITY_SQUARES + asked.shaken * (SHAKES + 1) * alone


def _alone(session: Session, method: AttributionMethod, asked: Question) -> int:
    """The work of a method, without what judges it."""
    if method != "occlusion":
        return BACK * images_run(method, asked.settings)
    size = session.preprocessing.crop
    window = default_window(min(size))
    return square_boxes(size, window, default_stride(window))[..., 0].size


def _work(session: Session, asked: Question) -> Any:
    """The job: every method in turn, each judged before the next."""

    def work(job: Job) -> tuple[Judged, ...]:
        image, program = session.input, session.load(job.should_stop).program
        mean, std = (torch.tensor(values) for values in (session.preprocessing.mean, session.preprocessing.std))
        settings = replace(asked.settings, fill_value=fill_values(image.cpu(), asked.settings.fill, mean, std))
        judged, done, total = (), 0, _passes(session, asked)
        for method in asked.methods:
            if (why := refusal(program, method, settings.layer)) is not None:
                each = Judged(method, why)
            else:
                stages = done, done + _alone(session, method, asked), total
                judge = partial(_judged, program, image, method, replace(asked, settings=settings), job, stages)
                each = _kept((*session.key, method, str(replace(asked, methods=()))), judge)
            judged, done = (*judged, each), done + _of_method(session, method, asked)
            job.progress(done, total, judged)
        return judged

    return work


@st.cache_resource(max_entries=48, show_spinner=False)
def _kept(key: Any, _judge: Callable[[], Judged]) -> Judged:
    """What judging a method gave, kept when others are chosen beside it."""
    return _judge()


def _judged(
    program: Any,
    image: torch.Tensor,
    method: AttributionMethod,
    asked: Question,
    job: Job,
    stages: tuple[int, int, int],
) -> Judged:
    """One method on the picture; one that fails there says why. stages: the work done before it, that before it is
    judged, and all, in forward passes."""
    (first, judging, total), settings, stop = stages, asked.settings, job.should_stop

    def tell(before: int, weight: int) -> OnProgress:
        return lambda done, _of, _left: job.progress(before + weight * done, total)

    weight, after = 1 if method == "occlusion" else BACK, judging + CURVE_STEPS + 1
    shaking = after + CURVE_STEPS + 1 + INFIDELITY_SQUARES
    try:
        found = attribute(program, image, method, asked.target, settings, progress=tell(first, weight), cancel=stop)
        deletion = pixel_curve(program, image, found, "deletion", settings, progress=tell(judging, 1), cancel=stop)
        insertion = pixel_curve(program, image, found, "insertion", settings, progress=tell(after, 1), cancel=stop)
        told = infidelity(program, image, found, settings, samples=INFIDELITY_SQUARES, cancel=stop)
        change = None
        if asked.shaken:
            again = tell(shaking, judging - first)
            change = sensitivity(program, image, found, settings, samples=SHAKES, progress=again, cancel=stop)
    except UserError as error:
        return Judged(method, str(error))
    return Judged(method, "", found, deletion, insertion, told, change)


def question(session: Session) -> AttributionQuestion:
    """The methods at hand, as a question."""
    target, named = state.get("attributed"), state.get("weighed")
    return AttributionQuestion(
        _methods(state.get("methods")), target if 0 <= target < len(session.categories) else None,
        (named and layer_or_none(session.analysis.graph, named)) or None, state.get("absence"),
        output_control.chosen(),
    )  # fmt: skip


VIEW = View(
    "attribution", "Attribution", ":material/target:", 5, render,
    settings=(
        Setting("methods", ",".join(DEFAULT_METHODS), check=_check_methods),
        Setting("attributed", -1, low=-1, high=100_000, of_network=True),
        Setting("weighed", "", of_network=True),
        Setting("absence", "gray", choices=tuple(ABSENCE)),
        Setting("shaken", False),
        *output_control.SETTINGS,
    ),
    question=question,
)  # fmt: skip
