"""Atlas: a layer as a contact sheet of what its units look for, and a page with an address of its own for each."""

from __future__ import annotations

import streamlit as st

from explorer.analysis import activations
from explorer.analysis.top_nine_run import channels_of, layers_with_units
from explorer.errors import UserError
from explorer.receptive_field.map_layout import arrangements
from explorer.ui import layer_maps, picture_controls, state, untrained
from explorer.ui.guard import guard
from explorer.ui.session import Session
from explorer.ui.view import View
from explorer.views.atlas import optimised, preferences, scans, sheet, unit
from explorer.views.atlas.scans import SessionScan
from explorer.views.feature_maps.page import layer_label, widest_modules


def render(session: Session) -> None:
    """Draw the sheet of the chosen layer, or the page of the chosen unit."""
    untrained.render(session)
    layer = _layer(session)
    if layer in arrangements(session.analysis.graph):
        sheet.check_page(channels_of(session.analysis.graph, layer))
    if (found := scans.current(session)) is None:
        return
    if layer not in found.scan.top:
        raise UserError(f"layer={layer!r} has no maps that were scanned; choose another layer.")
    channel = session.channel if layer_maps.wanted(session) == layer else None
    if channel is None:
        _sheet(session, found, layer)
    else:
        unit.render(found, layer, channel, lambda: _layer_control(session, layer))


def _layer(session: Session) -> str:
    """The layer of the link, or the first whose units one looks at."""
    wanted = layer_maps.wanted(session)
    return wanted or layers_with_units(session.analysis.graph)[0]


def _sheet(session: Session, found: SessionScan, layer: str) -> None:
    with st.container(border=True), st.container(horizontal=True, gap="small"):
        _layer_control(session, layer)
        state.control(st.segmented_control, "atlas_shown", "Shown", options=list(sheet.SHOWN), required=True,
                      format_func=sheet.SHOWN.__getitem__)  # fmt: skip
        preferences.control()
        sheet.pager(found.scan.of(layer).channels)
    with guard():
        if (ranked := preferences.ranked(found, layer)) is not None:
            sheet.render(found, layer, *ranked)
    total = found.scan.seen - found.scan.broken_count
    st.caption(f"Each block is one unit: the nine of {total:,} unseen pictures that excite it most, cut to what it "
               "sees, the strongest at the top left. A click opens the unit.")  # fmt: skip


def _layer_control(session: Session, layer: str) -> None:
    graph = session.analysis.graph
    units, modules = layers_with_units(graph), widest_modules(graph)
    options = [name for name in activations.layers_with_maps(graph) if name in units or name == layer]
    state.keep(
        st.selectbox, "atlas layer", "Layer", layer, _choose_layer, options=options,
        format_func=lambda name: layer_label(session.analysis, name) + modules.get(name, ""), width=460,
    )  # fmt: skip


def _choose_layer(layer: str) -> None:
    for name, value in {"layer": layer, "channel": -1, "row": -1, "column": -1, "atlas_page": 1}.items():
        state.put(name, value)


VIEW = View(
    "atlas", "Atlas", ":material/map:", 4, render,
    settings=(
        *scans.SETTINGS,
        *sheet.SETTINGS,
        *preferences.SETTINGS,
        *unit.SETTINGS,
        *optimised.SETTINGS,
        *picture_controls.SETTINGS,
    ),
)  # fmt: skip
