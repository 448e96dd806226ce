"""The filters of the chosen layer: its weights as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from explorer.analysis.filters import LayerFilters, filters_of, has_filters, strongest
from explorer.figures import filters as figures
from explorer.figures import raster
from explorer.graph.layers import Layer
from explorer.images.preprocess import ColourOrder
from explorer.ui import components, state
from explorer.ui.awaited import awaited
from explorer.ui.components import Tile
from explorer.ui.jobs import Job
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.workbench import selection

FEW, PER_PAGE = 24, 256  # filters that are shown at once, the strongest first: at a first look, and of all
SETTINGS = (
    Setting("filter_input", -1, low=-1, high=65_535, of_network=True),  # the input channel; -1 for all
    Setting("all_filters", False, of_network=True),
    Setting("filters_page", 1, low=1, high=1000, of_network=True),
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """The pictures of some output channels with the norms of their filters, or that of the whole matrix; and how.

    first: how many channels with greater norms are left out before them.
    """

    channels: Sequence[int]
    norms: Sequence[float]
    pictures: Sequence[np.ndarray]
    how: str
    first: int = 0


def render(session: Session, layer_id: str) -> None:
    """Draw the filters of a layer; nothing where it has none. A click chooses the output channel."""
    layer = session.analysis.graph[layer_id]
    if not has_filters(layer) or len(layer.output_shape) < 2 or session.source.needs_download:
        return  # that a download comes first is said beside the maps
    outputs, inputs = layer.output_shape[1], _inputs(layer)
    place = state.get("filter_input") if state.get("filter_input") < inputs else -1
    shown = _range(outputs)

    def work(job: Job) -> Drawn | None:
        found = filters_of(session.load(job.should_stop).program, layer_id)
        return found and _drawn(found, shown, None if place < 0 else place, session.preprocessing.order)

    drawn = awaited("filters", (*session.key, layer_id, shown, place), "Reading the filters", work)
    if drawn is None:
        return
    st.markdown(":small[Filters]" if drawn.channels else ":small[Weights]")
    if drawn.channels:
        _controls(layer, inputs, place)
        tiles = [_tile(*each) for each in zip(drawn.channels, drawn.norms, drawn.pictures, strict=True)]
        pick = partial(selection.choose_channel, layer_id)
        components.tiles(tiles, session.channel, pick, key="filter tiles", columns=8)
        st.caption(_explained(drawn, outputs))
    else:
        (picture,) = drawn.pictures
        large = raster.enlarge(picture, raster.zoom_of((picture.shape[0], picture.shape[1])))
        st.image(large, width=large.shape[1], alt=f"Weights of {layer_id}")
        st.caption(drawn.how)


def _range(outputs: int) -> range:
    """Which filters are shown, in the order of their norms: a page of all, or the first few."""
    if not state.get("all_filters"):
        return range(min(outputs, FEW))
    start = (_page(outputs) - 1) * PER_PAGE
    return range(start, min(outputs, start + PER_PAGE))


def _pages(outputs: int) -> int:
    return -(-outputs // PER_PAGE)


def _page(outputs: int) -> int:
    return min(state.get("filters_page"), _pages(outputs))


def _inputs(layer: Layer) -> int:
    """How many input channels a filter reads; 1 where these cannot be chosen."""
    (groups,) = layer.numbers("groups") or (1,)
    return 1 if len(layer.input_shapes[0]) < 2 else layer.input_shapes[0][1] // groups


def _drawn(found: LayerFilters, shown: range, place: int | None, order: ColourOrder) -> Drawn:
    if found.is_matrix:
        picture, how = figures.matrix_picture(found)
        return Drawn((), (), (picture,), how)
    channels, norms = strongest(found, shown.stop)[shown.start :], found.norms
    pictures, how = figures.filter_pictures(found, channels, place, order)
    return Drawn(channels, [float(norms[channel]) for channel in channels], pictures, how, shown.start)


def _controls(layer: Layer, inputs: int, place: int) -> None:
    """Which input channel, where filters read several, and whether all filters are shown, page by page."""
    outputs = layer.output_shape[1]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if inputs > 1:
            state.keep(
                st.selectbox, "filter input", "Inputs", place, lambda chosen: state.put("filter_input", chosen),
                options=range(-1, inputs), format_func=lambda i: "All inputs" if i < 0 else f"Input channel {i}",
                label_visibility="collapsed", width=190,
            )  # fmt: skip
        if outputs > FEW:
            state.control(st.toggle, "all_filters", "All filters")
        if state.get("all_filters") and (pages := _pages(outputs)) > 1:
            state.keep(st.number_input, "filters page", f"Page (of {pages})", _page(outputs),
                       lambda page: state.put("filters_page", page), min_value=1, max_value=pages, step=1,
                       width=150)  # fmt: skip


def _tile(channel: int, norm: float, picture: np.ndarray) -> Tile:
    flagged = not np.isfinite(norm)
    hint = "holds NaN or infinity" if flagged else f"L2 norm {norm:.3g}"
    return Tile(channel, raster.address(picture), f"{channel} NaN" if flagged else str(channel), hint, flagged)


def _explained(drawn: Drawn, outputs: int) -> str:
    count = len(drawn.channels)
    if count == outputs:
        return f"All {outputs:,} by norm. {drawn.how}"
    if drawn.first or count > FEW:
        return f"{drawn.first + 1:,} to {drawn.first + count:,} of {outputs:,} by norm. {drawn.how}"
    return f"The {count} of {outputs:,} with the greatest norms. {drawn.how}"
