"""The maps of the chosen layer for the picture, with their statistics; computed once and shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st

from explorer.analysis import activations
from explorer.analysis.activations import ChannelStatistics, Histogram, Prediction
from explorer.analysis.outputs import Output
from explorer.analysis.structure import Analysis
from explorer.errors import UserError
from explorer.figures import raster
from explorer.figures.raster import Placement, Range
from explorer.graph import ops
from explorer.graph.layers import LayerGraph
from explorer.graph.names import layer_or_none
from explorer.types import Cell, Size
from explorer.ui import output_control, state
from explorer.ui.awaited import awaited
from explorer.ui.jobs import Job
from explorer.ui.session import Session


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """The maps [C, H, W] of one layer for the picture, with their statistics."""

    layer: str
    maps: np.ndarray
    statistics: ChannelStatistics
    histogram: Histogram

    @property
    def size(self) -> Cell:
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

    def channel(self, by: str) -> int:
        """The chosen channel, or the first in that order."""
        chosen = state.get("channel")
        return chosen if 0 <= chosen < len(self.maps) else int(self.order(by)[0])

    def unit(self, channel: int) -> Cell:
        """The chosen unit, or the strongest of the channel."""
        row, column = state.get("row"), state.get("column")
        inside = 0 <= row < self.size[0] and 0 <= column < self.size[1]
        return (row, column) if inside else self.strongest(channel)

    def scale(self, channel: int, shared: bool) -> Range:
        """What the ends of the colours stand for: limits of the channel, or of the whole layer."""
        return raster.limits(self.maps if shared else self.maps[channel])

    def placement(self, session: Session) -> Placement:
        """Cells where their units look; stretched where the layer is not of the form [N, C, H, W]."""
        return placement(session, self.layer, self.size)

    def strongest(self, channel: int) -> Cell:
        """The unit of a channel with the greatest finite value."""
        values = np.where(np.isfinite(self.maps[channel]), self.maps[channel], -np.inf)
        row, column = divmod(int(values.argmax()), self.size[1])
        return row, column


@dataclass(frozen=True, eq=False)
class Look:
    """What the network makes of the picture: its prediction, or why there is none, and the maps of one layer."""

    prediction: Prediction | str
    maps: LayerMaps


def placement(session: Session, layer: str, map_size: Size) -> Placement:
    """Where the cells of a map of a layer lie on the picture."""
    report, size = session.analysis[layer], session.preprocessing.crop
    if not report.is_map:
        return raster.stretched(map_size, size)
    return raster.placed(report.local_receptive_field.axes, map_size, size)


def chosen(session: Session) -> str:
    """The id of the chosen layer, or of one in the middle where that one has no maps. Raises TraceError."""
    layer, graph = wanted(session), session.analysis.graph
    return layer if layer and layer in activations.layers_with_maps(graph) else middle(session.analysis)


def wanted(session: Session) -> str | None:
    """The id of the layer that the state names, by its id or by a module; None where it names none that is here."""
    return layer_or_none(session.analysis.graph, state.get("layer"))


def current(session: Session) -> Look | None:
    """With the maps of the chosen layer; None while it is worked out. Raises UserError."""
    return of(session, chosen(session))


def of(session: Session, layer: str) -> Look | None:
    """The same of a layer that has maps, by its id."""
    output = output_control.chosen()

    def work(job: Job) -> Look:
        return Look(predicted(session, output, job.should_stop), maps_of(session, layer, job.should_stop))

    return awaited("maps", (*session.key, layer, output), f"Running the picture through {session.preset}", work)


def predicted(session: Session, output: Output | None, cancel: Callable[[], bool]) -> Prediction | str:
    """What the network says of the picture, or why that is nothing; for jobs. Raises UserError, Cancelled."""
    return _predicted(session.key, output, session, cancel)


def maps_of(session: Session, layer: str, cancel: Callable[[], bool]) -> LayerMaps:
    """The maps of a layer that has some; for jobs. Raises UserError, Cancelled."""
    return _maps((*session.key, layer), layer, session, cancel)


def middle(analysis: Analysis) -> str:
    """The rectified map half way through the network, or any map where it has none."""
    shaped = [layer for layer in analysis.layers if layer.is_map and min(layer.output_shape[2:]) > 3]
    rectified = [layer for layer in shaped if layer.kind in ops.ACTIVATIONS]
    found = rectified or shaped or list(analysis.layers)
    return found[len(found) // 2].id


@st.cache_resource(max_entries=6, show_spinner=False)
def _maps(key: Any, layer: str, _session: Session, _cancel: Callable[[], bool]) -> LayerMaps:
    program = _session.load(_cancel).program
    maps = activations.feature_maps(program, _session.input, layer, _cancel)
    statistics = activations.channel_statistics(maps)
    return LayerMaps(layer, maps.float().cpu().numpy(), statistics, activations.histogram(maps))


@st.cache_data(max_entries=32, show_spinner=False)
def _predicted(key: Any, output: Output | None, _session: Session, _cancel: Callable[[], bool]) -> Prediction | str:
    program, image = _session.load(_cancel).program, _session.input
    try:
        return activations.predict(program, image, output=output, cancel=_cancel)
    except UserError as error:  # there are maps all the same
        return str(error)


_SAME_VALUES = frozenset({"flatten", "reshape", "squeeze", "identity", "dropout", "contiguous"})


def holds_classes(graph: LayerGraph, layer: str) -> bool:
    """Whether a layer's values are the classes': those of the network's output, or only reshaped to it."""
    readers = graph.consumers[layer]
    return layer in graph.outputs or any(graph[r].kind in _SAME_VALUES and holds_classes(graph, r) for r in readers)
