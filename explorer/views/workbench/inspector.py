"""The chosen layer from near: its figures, its parameters, and what it makes of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from explorer.analysis.activations import layers_with_maps
from explorer.analysis.structure import LayerReport
from explorer.figures import layer_words, units
from explorer.figures.caveats import field_text
from explorer.graph.layers import Layer
from explorer.ui import components, layer_maps, map_picture, metrics, state, untrained
from explorer.ui.guard import guard
from explorer.ui.layer_maps import LayerMaps
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.views.workbench import filters, made_by, selection

STRONGEST = 8  # channels whose maps are shown


def render(session: Session) -> None:
    """Draw the layer's name, figures and parameters; below them its maps on the picture."""
    layer = session.layer
    _choice(session, layer)
    report = session.analysis[layer]
    st.markdown(f":small[{markdown_safe(layer_words.sentence(session.analysis.graph[layer]))}]")
    _figures(report, metrics.of_layer(session, layer))
    _parameters(session, session.analysis.graph[layer])
    if session.kept_sentence:
        st.caption(markdown_safe(session.kept_sentence))
    if session.is_ours:
        with guard():
            made_by.controls(session)
    with guard():
        _maps(session, layer)
    with guard():
        filters.render(session, layer)


def _choice(session: Session, layer: str) -> None:
    names = [one.id for one in session.analysis.layers]
    state.keep(st.selectbox, "inspected", "Layer", layer, selection.choose, options=names, label_visibility="collapsed")


def _figures(report: LayerReport, measured: Mapping[str, str]) -> None:
    field = report.receptive_field
    seen = field_text("whole image" if field.is_global else f"{units.pair(field.size)} px", report.certainty)
    shown = (
        ("Output", units.shape(report.output_shape)),
        ("Parameters", units.count(report.params)),
        ("MACs", "unknown" if report.macs is None else units.count(report.macs)),
        ("Output in memory", units.format_bytes(report.activation_bytes)),
        ("Receptive field", seen),
        ("Stride", "—" if field.is_global else f"{units.pair(field.stride)} px"),
        *measured.items(),
    )
    with st.grid(min_column_width=120, gap="xsmall"):
        for label, value in shown:
            st.markdown(f":small[{label}]  \n**{markdown_safe(value)}**")


def _parameters(session: Session, layer: Layer) -> None:
    if not layer.parameters:
        return
    tensors = dict(session.analysis.module.named_parameters())
    lines = [f"{name} {units.shape((1, *tensors[name].shape))}" for name in layer.parameters if name in tensors]
    st.caption(markdown_safe("; ".join(lines)))


# -- the picture ------------------------------------------------------------------------------------------------------


def _maps(session: Session, layer: str) -> None:
    if session.image is None:
        st.caption("With a picture, its maps are here.")
        return
    if session.source.needs_download:
        st.caption("Its maps are here once the weights are downloaded.")
        return
    if layer not in layers_with_maps(session.analysis.graph):
        st.caption("This layer's output has no maps.")
        return
    untrained.render(session)
    if (look := layer_maps.of(session, layer)) is None:
        return
    found = look.maps
    order = found.order("mean")
    channel = found.channel("mean")
    if found.is_vector:
        st.caption(f"Strongest of {len(order):,} units: " + ", ".join(map(str, order[:STRONGEST].tolist())))
        return
    map_picture.render(session, found, channel, found.scale(channel, False), key="inspected map", pick=_unit)
    _strongest(found, order[:STRONGEST].tolist(), channel)


def _strongest(found: LayerMaps, channels: list[int], chosen: int) -> None:
    tiles = [map_picture.tile(found, channel, found.scale(channel, False)) for channel in channels]
    pick = partial(selection.choose_channel, found.layer)
    components.tiles(tiles, chosen, pick, key="inspected tiles", columns=4)
    count = len(found.maps)
    st.button(
        f"All {count:,} maps" if count > 1 else "The map", icon=":material/grid_view:", type="tertiary",
        on_click=lambda: state.put("view", "maps"),
    )  # fmt: skip


def _unit(cell: tuple[int, int]) -> None:
    state.put("row", cell[0])
    state.put("column", cell[1])
