"""*Step through*: the signal on its way from the unit to the pixels, one layer at a time."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.deconvnet_rules import BackwardSettings
from explorer.analysis.way_back import WayStep
from explorer.figures import raster
from explorer.figures import way_back as figures
from explorer.ui import components, layer_maps, state
from explorer.ui.components import Legend, Outline
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import Setting
from explorer.views.deconvnet.unit import ProjectedUnit

SETTINGS = (Setting("back_step", 0, low=0, high=100_000, of_network=True),)


def render(unit: ProjectedUnit, settings: BackwardSettings) -> None:
    """The signal at the chosen step over the picture, what the step does, and the ways to the others."""
    steps, at = unit.steps, min(state.get("back_step"), len(unit.steps) - 1)
    left, right = st.columns([2, 3], gap="large")
    with right:
        _controls(len(steps), at)
        _words(unit, settings, at)
    with left:
        _picture(unit, steps[at])


def _controls(count: int, at: int) -> None:
    if count < 2:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _button("Back", ":material/arrow_back:", at - 1, at == 0)
        _button("Next", ":material/arrow_forward:", at + 1, at == count - 1)
    state.keep(
        st.slider, "back step", "Step of the way back", at, _go, min_value=0, max_value=count - 1,
        help="0 is the unit itself, the last one the pixels.",
    )  # fmt: skip


def _button(label: str, icon: str, to: int, is_end: bool) -> None:
    st.button(label, key=f"back step {label}", icon=icon, disabled=is_end, on_click=_go, args=(to,))


def _go(step: int) -> None:
    state.put("back_step", step)


def _words(unit: ProjectedUnit, settings: BackwardSettings, at: int) -> None:
    step, graph = unit.steps[at], unit.session.analysis.graph
    rows, columns = step.strength.shape
    st.markdown(f"**Step {at} of {len(unit.steps) - 1}**: the signal at the output of **{markdown_safe(step.layer)}**")
    st.markdown(figures.explained(step, graph, settings))
    total = step.channels * rows * columns
    st.caption(f"{step.channels:,} channels of {rows} × {columns}; not 0: {step.carried:,} of {total:,} values.")


def _picture(unit: ProjectedUnit, step: WayStep) -> None:
    session, values = unit.session, step.strength
    scale = (0.0, raster.limits(values)[1])
    at = layer_maps.placement(session, step.layer, (values.shape[0], values.shape[1]))
    shown = raster.overlay(session.view, values, at, scale, state.get("opacity"), state.get("smooth"))
    components.picture(
        shown, f"The signal at {step.layer} over the picture", key="back signal", at=at,
        outlines=[Outline(unit.box, "what the unit sees")],
        legend=Legend("Signal, L2 norm over channels", raster.CIVIDIS, "0", f"{scale[1]:.3g}"),
    )  # fmt: skip
