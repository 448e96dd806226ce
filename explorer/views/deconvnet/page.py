"""Deconvnet: what in the picture excites a unit, projected back to pixels layer by layer (Zeiler and Fergus 2014)."""

from __future__ import annotations

import streamlit as st

from explorer.analysis import activations
from explorer.analysis.deconvnet_rules import BackwardSettings
from explorer.networks.questions import DeconvnetQuestion
from explorer.types import Cell
from explorer.ui import layer_maps, map_picture, picture_controls, prepared, state, untrained
from explorer.ui.guard import guard
from explorer.ui.layer_maps import LayerMaps
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.deconvnet import rules, steps
from explorer.views.deconvnet import unit as units
from explorer.views.feature_maps.page import layer_label, widest_modules

EXTENTS = {"seen": "What the unit sees", "whole": "Whole picture"}


def render(session: Session) -> None:
    """Draw the whole page."""
    if session.spec_error:
        st.warning("This is the last network that could be built.", icon=":material/history:")
    untrained.render(session)
    look = layer_maps.current(session)
    found = look and look.maps
    _controls(session, found)
    if found is None:
        return
    channel, settings = found.channel("maximum"), rules.chosen()
    left, right = st.columns([1, 2], gap="large")
    with left, guard():
        _map(session, found, channel)
    with right, guard():
        _unit(session, found, channel, settings)


# -- choices ----------------------------------------------------------------------------------------------------------


def _controls(session: Session, found: LayerMaps | None) -> None:
    with st.container(border=True), st.container(horizontal=True, gap="small"):
        _layer_control(session)
        if found is not None:
            _channel_control(found)
        rules.method()
        state.control(st.selectbox, "back_extent", "Shown", options=list(EXTENTS), format_func=EXTENTS.__getitem__,
                      width=180)  # fmt: skip


def _layer_control(session: Session) -> None:
    modules = widest_modules(session.analysis.graph)
    state.keep(
        st.selectbox, "back layer", "Layer", layer_maps.chosen(session), _choose_layer,
        options=activations.layers_with_maps(session.analysis.graph),
        format_func=lambda name: layer_label(session.analysis, name) + modules.get(name, ""), width=326,
    )  # fmt: skip


def _channel_control(found: LayerMaps) -> None:
    state.keep(
        st.number_input, "back channel", "Channel", found.channel("maximum"),
        lambda channel: _choose_channel(found, channel), min_value=0, max_value=len(found.maps) - 1, step=1,
        help="At first the one with the greatest activation.", width=130,
    )  # fmt: skip


def _choose_layer(layer: str) -> None:
    _put(layer=layer, channel=-1, row=-1, column=-1, back_step=0)


def _choose_channel(found: LayerMaps, channel: int) -> None:
    _put(layer=found.layer, channel=channel, row=-1, column=-1)


def _choose_position(found: LayerMaps, channel: int, position: Cell) -> None:
    _put(layer=found.layer, channel=channel, row=position[0], column=position[1])


def _put(**values: int | str) -> None:
    """A link that names a unit names its channel and layer."""
    for name, value in values.items():
        state.put(name, value)


# -- the unit ---------------------------------------------------------------------------------------------------------


def _map(session: Session, found: LayerMaps, channel: int) -> None:
    st.subheader("Activation", anchor=False)
    if found.is_vector:
        _vector(session, found, channel)
    else:
        map_picture.render(session, found, channel, found.scale(channel, False), key="back map",
                           pick=lambda cell: _choose_position(found, channel, cell))  # fmt: skip
    picture_controls.render()
    prepared.render(session)


def _vector(session: Session, found: LayerMaps, channel: int) -> None:
    classes = session.categories if layer_maps.holds_classes(session.analysis.graph, found.layer) else None
    name = f" ({markdown_safe(classes[channel])})" if classes else ""
    st.markdown(f"Channel {channel}{name}: **{found.maps[channel, 0, 0]:.4g}**")
    st.caption("A layer without positions: each of its channels sees the whole picture.")


def _unit(session: Session, found: LayerMaps, channel: int, settings: BackwardSettings) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Projected back to pixels", anchor=False, width="content")
        rules.table(session)
    unit = units.projected(session, found, channel, settings)
    if unit is None:
        return
    units.pair(unit, state.get("back_extent") == "whole")
    units.explain(unit)
    st.subheader("Step through", anchor=False)
    steps.render(unit, settings)
    st.subheader("The strongest channels", anchor=False)
    units.strongest(session, found, channel, settings, lambda chosen: _choose_channel(found, chosen))
    units.files(unit)


def question(session: Session) -> DeconvnetQuestion:
    """The unit at hand, as a question."""
    settings, layer = rules.chosen(), layer_maps.chosen(session)
    row, column = state.get("row"), state.get("column")
    is_own = layer == layer_maps.wanted(session)  # else channel and unit are those of another layer
    return DeconvnetQuestion(
        layer, session.channel if is_own else None, (row, column) if is_own and min(row, column) >= 0 else None,
        settings.method, settings.rules or {},
    )  # fmt: skip


VIEW = View(
    "deconvnet", "Deconvnet", ":material/undo:", 3, render,
    settings=(
        Setting("back_extent", "seen", choices=tuple(EXTENTS)),
        *rules.SETTINGS,
        *steps.SETTINGS,
        *picture_controls.SETTINGS,
    ),
    question=question,
)  # fmt: skip
