"""Feature maps: what the network predicts for the picture, and what any of its layers makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st

from explorer import images, ops
from explorer.analysis import activations
from explorer.analysis.activations import ChannelStatistics, Prediction
from explorer.analyze import Analysis
from explorer.execute import run
from explorer.ui import cells, components, picture_controls, state
from explorer.ui.components import Legend, Outline, Tile
from explorer.ui.figures import maps as figures
from explorer.ui.figures import pictures, prediction
from explorer.ui.figures.pictures import Placement
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View

RANKINGS = {"mean": "Mean", "maximum": "Maximum", "positive_share": "Share above 0", "number": "Channel number"}
SCALES = {"own": "Of each map", "shared": "Same for all"}
PAGE = 36  # tiles of one page
HOVERED = 20_000  # cells up to which their values are sent to the browser


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """The maps [C, H, W] of one layer for the picture, with their statistics."""

    layer: str
    maps: np.ndarray
    statistics: ChannelStatistics
    histogram: activations.Histogram

    @property
    def size(self) -> tuple[int, int]:
        return self.maps.shape[1], self.maps.shape[2]

    @property
    def is_vector(self) -> bool:
        return self.size == (1, 1)

    @cached_property
    def broken(self) -> int:
        """How many channels hold NaN or infinity."""
        return int((~self.statistics.is_finite).sum())

    def order(self, by: str) -> np.ndarray:
        """Channel numbers in the order that a person chose."""
        return np.arange(len(self.maps)) if by == "number" else self.statistics.ranking(by)  # pyright: ignore[reportArgumentType]

    def strongest(self, channel: int) -> tuple[int, int]:
        """The unit of a channel with the greatest finite value."""
        values = np.where(np.isfinite(self.maps[channel]), self.maps[channel], -np.inf)
        row, column = divmod(int(values.argmax()), self.size[1])
        return row, column


def render(session: Session) -> None:
    """Draw the whole page."""
    if session.spec_error:
        st.warning("These are the maps of the last network that could be built.", icon=":material/history:")
    found = _found(session)
    with st.container(key="maps_top"):
        left, right = st.columns([2, 3], gap="large")
        with left:
            _prediction(session)
        with right:
            _layer(session, found)
    order = found.order(state.get("rank"))
    channel = _channel(order)
    if found.is_vector:
        _vector(session, found, channel)
    else:
        _maps(session, found, order, channel)


# -- what is computed -------------------------------------------------------------------------------------------------


def _found(session: Session) -> LayerMaps:
    layers = activations.layers_with_maps(session.analysis.graph)
    chosen = state.get("layer")
    return _compute((*session.key, chosen), chosen if chosen in layers else middle(session.analysis), session)


def middle(analysis: Analysis) -> str:
    """The rectified map half way through the network, or any map where it has none."""
    shaped = [layer for layer in analysis.graph if layer.is_map and min(layer.output_shape[2:]) > 3]
    rectified = [layer for layer in shaped if layer.kind in ops.ACTIVATIONS]
    found = rectified or shaped or list(analysis.graph)
    return found[len(found) // 2].id


@st.cache_resource(max_entries=6, show_spinner="Running the network…")
def _compute(key: Any, layer: str, _session: Session) -> LayerMaps:
    maps = activations.feature_maps(_session.program, _session.input, layer)
    statistics = activations.channel_statistics(maps)
    return LayerMaps(layer, maps.float().cpu().numpy(), statistics, activations.histogram(maps))


@st.cache_data(max_entries=32, show_spinner="Running the network…")
def _predicted(key: Any, _session: Session) -> Prediction:
    return activations.top_classes(activations.first_tensor(run(_session.program, _session.input).output))


# -- top of the page --------------------------------------------------------------------------------------------------


def _prediction(session: Session) -> None:
    st.subheader("Prediction", anchor=False)
    predicted = _predicted(session.key, session)
    if not predicted.is_finite:
        st.error("The output holds NaN or infinity, so there is no prediction.", icon=":material/error:")
        return
    figure = prediction.bars(predicted, session.categories)
    st.plotly_chart(figure, key="prediction", config={"displayModeBar": False})


def _layer(session: Session, found: LayerMaps) -> None:
    st.subheader("Layer", anchor=False)
    graph = session.analysis.graph
    state.keep(
        st.selectbox, "maps layer", "Layer", found.layer, _choose_layer, label_visibility="collapsed",
        options=activations.layers_with_maps(graph), format_func=lambda name: layer_label(session.analysis, name),
    )  # fmt: skip
    statistics = found.statistics
    with st.grid(min_column_width=130, gap="small"):
        shape = "no positions" if found.is_vector else f"{found.size[0]} × {found.size[1]} each"
        st.metric("Channels", f"{len(found.maps):,}", shape, delta_color="off", delta_arrow="off")
        dead = f"{statistics.is_dead.sum():,} of {len(found.maps):,}"
        st.metric("Dead for this picture", prediction.percent(statistics.dead_share), dead,
                  delta_color="off", delta_arrow="off", help="Channels that are 0 everywhere.")  # fmt: skip
        held = f"90 % in {statistics.channels_for_90_percent:,} channels"
        st.metric("Channel sparsity", _number(statistics.hoyer_sparsity), held, delta_color="off", delta_arrow="off",
                  help="Hoyer's measure of the channels' total activation: 0 where all are equally strong, 1 where "
                       "one channel holds everything.")  # fmt: skip
    if found.broken:
        st.error(f"{found.broken:,} of {len(found.maps):,} channels hold NaN or infinity (vermilion in the maps); "
                 "they are ranked last and left out of the figures.", icon=":material/error:")  # fmt: skip


def layer_label(analysis: Analysis, name: str) -> str:
    """A layer for the list: size of its maps, id, operation, channels."""
    layer = analysis.graph[name]
    shape = layer.output_shape[1:]
    size = f"{shape[1]} × {shape[2]}" if len(shape) == 3 else "vector" if len(shape) == 1 else "tokens"
    return f"{name} · {layer.kind.replace('_', ' ')} · {shape[0]:,} ch · {size}"


def _choose_layer(name: str) -> None:
    state.put("layer", name)
    state.put("channel", -1)
    state.put("unit", "")
    state.put("page", 1)


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "—"


# -- channels ---------------------------------------------------------------------------------------------------------


def _channel(order: np.ndarray) -> int:
    chosen = state.get("channel")
    return chosen if 0 <= chosen < len(order) else int(order[0])


def _choose_channel(channel: int) -> None:
    state.put("channel", channel)
    state.put("unit", "")


def _vector(session: Session, found: LayerMaps, channel: int) -> None:
    values = found.maps[:, 0, 0]
    names = session.categories if len(values) == len(session.categories) else None
    st.subheader("Activations", anchor=False)
    st.plotly_chart(figures.vector(values, names, channel), key="vector", config={"displayModeBar": False})
    left, right = st.columns([1, 1], gap="large")
    with left:
        _rank_control()
        order = found.order(state.get("rank"))[:12]
        rows = [{"Unit": int(i), "Class": names[i] if names else "", "Activation": float(values[i])} for i in order]
        shown = rows if names else [{k: v for k, v in row.items() if k != "Class"} for row in rows]
        st.dataframe(shown, hide_index=True, width="stretch")
    with right:
        _histogram(found, None)
        _download("All values (NPY)", f"{found.layer}.npy", lambda: images.encode_npy(values))


def _maps(session: Session, found: LayerMaps, order: np.ndarray, channel: int) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Channels", anchor=False)
        _grid(found, order, channel)
    with right:
        st.subheader(f"Channel {channel}", anchor=False)
        _large(session, found, order, channel)
    st.subheader("Activations", anchor=False)
    _histogram(found, channel)


def _rank_control() -> None:
    state.control(st.selectbox, "rank", "Order by", options=list(RANKINGS), format_func=RANKINGS.__getitem__)


def _grid(found: LayerMaps, order: np.ndarray, channel: int) -> None:
    pages = -(-len(order) // PAGE)
    page = min(state.get("page"), pages)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _rank_control()
        state.control(st.selectbox, "scale", "Colour scale", options=list(SCALES),
                      format_func=SCALES.__getitem__)  # fmt: skip
        if pages > 1:
            state.keep(st.number_input, "maps page", f"Page (of {pages})", page, lambda n: state.put("page", n),
                       min_value=1, max_value=pages, step=1)  # fmt: skip
    shown = order[(page - 1) * PAGE : page * PAGE]
    ranges = figures.scales(found.maps, state.get("scale") == "shared")
    found_tiles = [_tile(found, int(i), ranges[i]) for i in shown]
    components.tiles(found_tiles, channel, _choose_channel, key="map_tiles", columns=6)
    _download("These maps (PNG)", f"{found.layer}_page{page}.png",
              lambda: images.encode_png(figures.grid(found.maps[shown], [ranges[i] for i in shown])))  # fmt: skip


def _tile(found: LayerMaps, channel: int, scale: pictures.Range) -> Tile:
    statistics = found.statistics
    source = pictures.address(figures.tile(found.maps[channel], scale))
    if not statistics.is_finite[channel]:
        return Tile(channel, source, f"{channel} NaN", "holds NaN or infinity", flagged=True)
    hint = f"mean {statistics.mean[channel]:.3g}, maximum {statistics.maximum[channel]:.3g}, " \
           f"above 0 at {statistics.positive_share[channel]:.0%} of positions"  # fmt: skip
    return Tile(channel, source, f"{channel} dead" if statistics.is_dead[channel] else str(channel), hint)


# -- one map ----------------------------------------------------------------------------------------------------------


def _large(session: Session, found: LayerMaps, order: np.ndarray, channel: int) -> None:
    unit = cells.decode(state.get("unit"), found.size) or found.strongest(channel)
    values = found.maps[channel]
    at = _placement(session, found)
    scale = pictures.limits(found.maps if state.get("scale") == "shared" else values)
    view = session.view
    shown = pictures.overlay(view, values, at, scale, state.get("opacity"), state.get("smooth"))
    box = session.analysis[found.layer].local_receptive_field.box(*unit)
    components.picture(
        shown, f"Channel {channel} of {found.layer} over the picture", key="large_map", at=at, texts=_texts(values),
        outlines=[Outline(box, "what the chosen unit sees")], chosen=unit,
        pick=lambda cell: state.put("unit", cells.encode(cell)),
        legend=Legend("Activation", pictures.CIVIDIS, f"{scale[0]:.3g}", f"{scale[1]:.3g}"),
    )  # fmt: skip
    top, left, bottom, right = box
    st.caption(
        f"The frame is what the unit at row {unit[0]}, column {unit[1]} sees: rows {top} to {bottom - 1}, columns "
        f"{left} to {right - 1}. Click the picture to choose another unit."
    )
    _large_controls(found, order, channel)
    with st.container(horizontal=True):
        _download("This map (PNG)", f"{found.layer}_{channel}.png", lambda: images.encode_png(shown))
        _download("All maps (NPY)", f"{found.layer}.npy", lambda: images.encode_npy(found.maps))


def _placement(session: Session, found: LayerMaps) -> Placement:
    """Cells where their units look; stretched where maps are not of the form [N, C, H, W]."""
    size = session.preprocessing.crop
    if not session.analysis.graph[found.layer].is_map:
        return pictures.stretched(found.size, size)
    return pictures.placed(session.analysis[found.layer].local_receptive_field.axes, found.size, size)


def _texts(values: np.ndarray) -> list[list[str]]:
    if values.size > HOVERED:
        return []
    return [[f"row {r}, column {c}: {v:.4g}" for c, v in enumerate(row)] for r, row in enumerate(values)]


def _large_controls(found: LayerMaps, order: np.ndarray, channel: int) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.keep(st.number_input, "maps channel", "Channel", channel, _choose_channel, min_value=0,
                   max_value=len(order) - 1, step=1)  # fmt: skip
        rank = int(np.flatnonzero(order == channel)[0]) + 1
        state.keep(
            st.number_input, "maps place", "Place in this order", rank,
            lambda place: _choose_channel(int(order[place - 1])), min_value=1, max_value=len(order), step=1,
        )  # fmt: skip
    picture_controls.render()


def _histogram(found: LayerMaps, channel: int | None) -> None:
    values = None if channel is None else found.maps[channel]
    figure = figures.distribution(found.histogram, values, f"channel {channel}")
    st.plotly_chart(figure, key="histogram", config={"displayModeBar": False})
    if found.histogram.not_finite:
        st.caption(f"{found.histogram.not_finite:,} values are NaN or infinity and in no bin.")


def _download(label: str, name: str, data: Callable[[], bytes]) -> None:
    """A button for a file that is made when it is wanted."""
    st.download_button(label, data, name, on_click="ignore", icon=":material/download:")


VIEW = View(
    "maps", "Feature maps", ":material/grid_view:", 1, render,
    settings=(
        Setting("rank", "mean", choices=tuple(RANKINGS)),
        Setting("scale", "own", choices=tuple(SCALES)),
        Setting("page", 1, low=1, high=100_000),
        Setting("unit", ""),
        *picture_controls.SETTINGS,
    ),
)  # fmt: skip
