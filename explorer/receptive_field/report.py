"""Receptive field of every layer, exact over the DAG: the box of input pixels that can change one unit.

Each axis is kept as the interval of input pixels for every output position: the union over all paths. See Araujo,
Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill 2019) for the closed forms that
these intervals generalise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np

from explorer.graph.layers import LayerGraph
from explorer.receptive_field.dims import MAP
from explorer.receptive_field.intervals import Axis
from explorer.receptive_field.propagate import follow
from explorer.types import Box, Size


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The field of one layer per axis (height, width), in input pixels.

    size: the most pixels that one unit sees, padding included; stride: pixels between neighbours; padding: pixels
    that the first unit sees before the image. is_global: every unit sees the whole image.
    """

    axes: tuple[Axis, Axis]
    image_size: tuple[int, int]
    boxes: np.ndarray | None = field(default=None, compare=False)  # unit by unit, where the axes do not tell them

    @property
    def size(self) -> tuple[int, int]:
        if self.boxes is not None:
            rows, columns = (self.boxes[2:] - self.boxes[:2]).reshape(2, -1).max(axis=1).tolist()
            return rows, columns
        rows, columns = (
            length if axis.is_global else axis.size for axis, length in zip(self.axes, self.image_size, strict=True)
        )
        return rows, columns

    @property
    def stride(self) -> tuple[Fraction, Fraction]:
        return self.axes[0].stride, self.axes[1].stride

    @property
    def padding(self) -> tuple[Fraction, Fraction]:
        rows, columns = (Fraction(0) if axis.is_global else axis.padding for axis in self.axes)
        return rows, columns

    @property
    def is_global(self) -> bool:
        return self.axes[0].is_global and self.axes[1].is_global

    def box(self, row: int, column: int) -> Box:
        """(top, left, bottom, right) of what the unit sees, clipped to the image; bottom and right are exclusive."""
        if self.boxes is not None:
            top, left, bottom, right = self.boxes[:, row, column].tolist()
            return top, left, bottom, right
        (top, bottom), (left, right) = (
            axis.visible(position) or (0, -1) for axis, position in zip(self.axes, (row, column), strict=True)
        )
        bottom, right = bottom + 1, right + 1
        return (top, left, bottom, right) if top < bottom and left < right else (0, 0, 0, 0)

    def every_box(self, map_size: Size) -> np.ndarray:
        """The boxes of all units of a map of `map_size`, [4, rows, columns], as `box` has them."""
        if self.boxes is not None:
            return self.boxes
        rows, columns = (
            np.broadcast_to(axis.seen, (2, count)) for axis, count in zip(self.axes, map_size, strict=True)
        )
        found = np.empty((4, *map_size), np.int64)
        found[0], found[2] = rows[0][:, None], rows[1][:, None] + 1
        found[1], found[3] = columns[0], columns[1] + 1
        return np.where((found[0] < found[2]) & (found[1] < found[3]), found, 0)


Certainty = Literal["exact", "bounded", "unknown"]


@dataclass(frozen=True, slots=True)
class LayerFields:
    """Strict and local field of a layer's output.

    has_map: rows and columns can still be told apart, be it as tokens; is_map: the output is laid out as [N, C, H, W].
    certainty: "exact", or "bounded" where the fields are upper bounds, or "unknown" where no rule says how the layer
    reads, and it is taken to read everything.
    """

    strict: ReceptiveField
    local: ReceptiveField
    has_map: bool
    is_map: bool
    certainty: Certainty


def receptive_fields(graph: LayerGraph) -> dict[str, LayerFields]:
    """The fields of every layer, by layer id."""
    followed = follow(graph)
    image = graph.layers[0].output_shape[-2:]
    image_size = (image[0], image[1])
    found: dict[str, LayerFields] = {}
    for layer in graph:
        state = followed.states[layer.id]
        boxes = state.boxes or (None, None)
        strict = ReceptiveField(state.strict, image_size, boxes[0])
        same = state.local is state.strict
        local = strict if same else ReceptiveField(state.local or state.strict, image_size, boxes[1])
        certainty: Certainty = "exact" if state.is_exact else "bounded"
        found[layer.id] = LayerFields(
            strict, local, has_map=state.has_map, is_map=layer.is_map and state.layout == MAP,
            certainty="unknown" if layer.id in followed.lost else certainty,
        )  # fmt: skip
    return found


def head_layer(graph: LayerGraph, fields: dict[str, LayerFields]) -> str:
    """The last feature map before global pooling or flattening: the one whose field speaks for the network.

    Also one whose positions we lost track of (windows of attention): its field is then that of everything.
    """
    lost = {layer.id for layer in graph if layer.is_map and min(layer.output_shape[-2:]) > 1}
    return [layer.id for layer in graph if fields[layer.id].has_map or layer.id in lost][-1]
