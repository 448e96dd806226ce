"""Feature maps: what the network predicts for the picture, and what any of its layers makes of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from explorer.analysis import activations
from explorer.analysis.activations import Prediction
from explorer.analysis.structure import Analysis
from explorer.figures import maps as figures
from explorer.figures import prediction
from explorer.graph.layers import LayerGraph
from explorer.graph.names import module_outputs
from explorer.images import codec
from explorer.networks.questions import FeaturesQuestion
from explorer.ui import (
    components,
    layer_maps,
    map_picture,
    output_control,
    picture_controls,
    prepared,
    state,
    untrained,
)
from explorer.ui.chart import chart
from explorer.ui.guard import guard
from explorer.ui.layer_maps import LayerMaps
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.feature_maps import all_pictures

RANKINGS = {"mean": "Mean", "maximum": "Maximum", "positive_share": "Share above 0", "number": "Channel number"}
SCALES = {"own": "Of each map", "shared": "Same for all"}
PAGE = 36  # tiles of one page


def render(session: Session) -> None:
    """Draw the whole page."""
    if session.spec_error:
        st.warning("These are the maps of the last network that could be built.", icon=":material/history:")
    untrained.render(session)
    if (look := layer_maps.current(session)) is None:
        _layer_control(session, layer_maps.chosen(session))
        return
    with guard():
        all_pictures.render(session)
    found = look.maps
    left, right = st.columns([2, 3], gap="large")
    with left, guard():
        _prediction(session, look.prediction)
        prepared.render(session)
    with right, guard():
        _layer(session, found)
    channel = found.channel(state.get("rank"))
    if found.is_vector:
        _vector(session, found, channel)
    else:
        _maps(session, found, channel)


# -- top of the page --------------------------------------------------------------------------------------------------


def _prediction(session: Session, predicted: Prediction | str) -> None:
    st.subheader("Prediction", anchor=False)
    if isinstance(predicted, str):
        st.error(markdown_safe(predicted), icon=":material/error:")
        return
    if not predicted.is_finite:
        st.error("The output holds NaN or infinity, so there is no prediction.", icon=":material/error:")
        return
    chart(prediction.bars(predicted, session.categories), "prediction")
    st.caption(prediction.explained(predicted.output, predicted.tensor))


def _layer(session: Session, found: LayerMaps) -> None:
    st.subheader("Layer", anchor=False)
    _layer_control(session, found.layer)
    if state.get("layer") and layer_maps.wanted(session) != found.layer:
        st.caption(f"{markdown_safe(state.get('layer'))} has no maps to show, so this is a layer in the middle.")
    _metrics(found)
    if found.broken:
        st.error(f"{found.broken:,} of {len(found.maps):,} channels hold NaN or infinity (vermilion in the maps); "
                 "they are ranked last and left out of the figures.", icon=":material/error:")  # fmt: skip


def _layer_control(session: Session, layer: str) -> None:
    modules = widest_modules(session.analysis.graph)
    state.keep(
        st.selectbox, "maps layer", "Layer", layer, _choose_layer, label_visibility="collapsed",
        options=activations.layers_with_maps(session.analysis.graph),
        format_func=lambda name: layer_label(session.analysis, name) + modules.get(name, ""),
    )  # fmt: skip


def widest_modules(graph: LayerGraph) -> dict[str, str]:
    """For a layer that is the output of a module, how the list says of which: the outermost that it is."""
    found = {path: layers[0] for path, layers in module_outputs(graph).items() if len(layers) == 1}
    return {found[path]: f" · output of {path}" for path in sorted(found, key=len, reverse=True)}


def layer_label(analysis: Analysis, name: str) -> str:
    """A layer for the list: id, operation, channels and the size of its maps."""
    layer = analysis.graph[name]
    shape = layer.output_shape[1:]
    size = f"{shape[1]} × {shape[2]}" if len(shape) == 3 else "vector" if len(shape) == 1 else "tokens"
    return f"{name} · {layer.kind.replace('_', ' ')} · {shape[0]:,} ch · {size}"


def _metrics(found: LayerMaps) -> None:
    statistics, count = found.statistics, len(found.maps)
    dead, strong = int(statistics.is_dead.sum()), statistics.channels_for_90_percent
    with st.grid(min_column_width=130, gap="small"):
        _metric("Channels", f"{count:,}", "no positions" if found.is_vector else f"{_size(found)} each")
        _metric("Dead channels", prediction.percent(statistics.dead_share), f"{dead:,} of {count:,}",
                "Channels that are 0 everywhere for this picture.")  # fmt: skip
        sparsity = f"{statistics.hoyer_sparsity:.2f}".replace("nan", "—")
        _metric("Channel sparsity", sparsity, f"90 % in {strong:,} of {count:,}",
                "Hoyer's measure of the channels' total activation: 0 where all are equally strong, 1 where one holds "
                "everything. Below it, how many channels hold 90 % of the activation.")  # fmt: skip


def _metric(label: str, value: str, detail: str, help: str | None = None) -> None:
    st.metric(label, value, detail, delta_color="off", delta_arrow="off", help=help)


def _size(found: LayerMaps) -> str:
    return f"{found.size[0]} × {found.size[1]}"


def _choose_layer(name: str) -> None:
    state.put("layer", name)
    state.put("page", 1)
    _choose(channel=-1)


def _choose(**values: int) -> None:
    """Choose a channel or a unit; another channel has another strongest unit."""
    for name, value in ({"row": -1, "column": -1} | values).items():
        state.put(name, value)


def _choose_channel(found: LayerMaps, channel: int) -> None:
    state.put("layer", found.layer)  # a link with a channel names its layer
    _choose(channel=channel)


# -- channels ---------------------------------------------------------------------------------------------------------


def _vector(session: Session, found: LayerMaps, channel: int) -> None:
    values = found.maps[:, 0, 0]
    names = session.categories if layer_maps.holds_classes(session.analysis.graph, found.layer) else None
    st.subheader("Activations", anchor=False)
    chart(figures.vector(values, names, channel), "vector")
    left, right = st.columns([1, 1], gap="large")
    with left:
        strongest = found.order("mean")[:12].tolist()
        named = [{"Class": names[i]} if names else {} for i in strongest]
        rows = [{"Unit": i, **name, "Activation": float(values[i])} for i, name in zip(strongest, named, strict=True)]
        st.dataframe(rows, hide_index=True, height="content")
    with right:
        _histogram(found, None)
        _download("All values (NPY)", f"{found.layer}.npy", lambda: codec.encode_npy(values))


def _maps(session: Session, found: LayerMaps, channel: int) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Channels", anchor=False)
        _grid(found, channel)
    with right:
        st.subheader(f"Channel {channel}", anchor=False)
        _large(session, found, channel)
    st.subheader("Distribution", anchor=False)
    _histogram(found, channel)


def _rank_control() -> None:
    state.control(st.selectbox, "rank", "Order by", options=list(RANKINGS), format_func=RANKINGS.__getitem__)


def _grid(found: LayerMaps, channel: int) -> None:
    order = found.order(state.get("rank"))
    pages = -(-len(order) // PAGE)
    page = min(state.get("page"), pages)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _rank_control()
        state.control(st.selectbox, "scale", "Colour scale", options=list(SCALES), format_func=SCALES.__getitem__)
        if pages > 1:
            state.keep(st.number_input, "maps page", f"Page (of {pages})", page, lambda n: state.put("page", n),
                       min_value=1, max_value=pages, step=1)  # fmt: skip
    shown = order[(page - 1) * PAGE : page * PAGE]
    shared = state.get("scale") == "shared"
    whole = found.scale(0, True) if shared else (0.0, 0.0)
    ranges = [whole if shared else found.scale(int(i), False) for i in shown]
    tiles = [map_picture.tile(found, int(i), scale) for i, scale in zip(shown, ranges, strict=True)]
    components.tiles(tiles, channel, lambda picked: _choose_channel(found, picked), key="map_tiles")
    _download("These maps (PNG)", f"{found.layer}_page{page}.png",
              lambda: codec.encode_png(figures.grid(found.maps[shown], ranges)))  # fmt: skip


# -- one map ----------------------------------------------------------------------------------------------------------


def _large(session: Session, found: LayerMaps, channel: int) -> None:
    scale = found.scale(channel, state.get("scale") == "shared")
    shown = map_picture.render(
        session, found, channel, scale, key="large_map", pick=lambda cell: _choose(row=cell[0], column=cell[1])
    )
    _channel_controls(found, channel)
    picture_controls.render()
    with st.container(horizontal=True):
        _download("This map (PNG)", f"{found.layer}_{channel}.png", lambda: codec.encode_png(shown))
        _download("All maps (NPY)", f"{found.layer}.npy", lambda: codec.encode_npy(found.maps))


def _channel_controls(found: LayerMaps, channel: int) -> None:
    order = found.order(state.get("rank"))
    place = int(np.flatnonzero(order == channel)[0]) + 1
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.keep(
            st.number_input, "maps channel", "Channel", channel, lambda chosen: _choose_channel(found, chosen),
            min_value=0, max_value=len(order) - 1, step=1,
        )  # fmt: skip
        state.keep(
            st.number_input, "maps place", "Place in the order", place,
            lambda chosen: _choose_channel(found, int(order[chosen - 1])), min_value=1, max_value=len(order), step=1,
        )  # fmt: skip


def _histogram(found: LayerMaps, channel: int | None) -> None:
    values = None if channel is None else found.maps[channel]
    figure = figures.distribution(found.histogram, values, f"channel {channel}")
    chart(figure, "histogram")
    if found.histogram.not_finite:
        st.caption(f"{found.histogram.not_finite:,} values are NaN or infinity and in no bin.")


def _download(label: str, name: str, data: Callable[[], bytes]) -> None:
    """A button for a file that is made when it is wanted."""
    st.download_button(label, data, name, on_click="ignore", icon=":material/download:")


def question(session: Session) -> FeaturesQuestion:
    """The maps at hand, as a question."""
    return FeaturesQuestion(layer_maps.chosen(session))


VIEW = View(
    "maps", "Feature maps", ":material/grid_view:", 1, render,
    settings=(
        Setting("rank", "mean", choices=tuple(RANKINGS)),
        Setting("scale", "own", choices=tuple(SCALES)),
        Setting("page", 1, low=1, high=100_000, of_network=True),
        *picture_controls.SETTINGS,
        *output_control.SETTINGS,
    ),
    question=question,
)  # fmt: skip
