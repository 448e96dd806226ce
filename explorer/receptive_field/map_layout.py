"""Outputs of layers, however they are laid out, as maps [N, channels, rows, columns]."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from weakref import WeakKeyDictionary

from torch import Tensor

from explorer.errors import UserError
from explorer.graph.layers import LayerGraph
from explorer.receptive_field.field_state import FieldState
from explorer.receptive_field.propagate import follow
from explorer.types import Shape


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What the dimensions of an output mean, as letters: "NCHW", "NHWC", "NC", "NTC" …, and the map's size.

    Tokens T are laid out as the map that they come from, if they are as many.
    """

    axes: str
    map_size: tuple[int, int]

    def channels(self, shape: Shape) -> int:
        """How many maps an output of this shape holds."""
        return shape[self.axes.index("C")]

    def maps(self, output: Tensor) -> Tensor:
        """The output as [N, channels, rows, columns]; vectors are maps of 1×1."""
        found = output.permute([self.axes.index(letter) for letter in "NCHWT" if letter in self.axes])
        if "T" in self.axes and found.shape[2] == prod(self.map_size):
            return found.reshape(*found.shape[:2], *self.map_size)
        return found.reshape(*found.shape, *[1] * (4 - found.dim()))


def arrangements(graph: LayerGraph) -> dict[str, Arrangement]:
    """The arrangement of every layer whose output can be shown as maps, by id, in order."""
    if graph not in _known:
        found = {name: (_axes(state), state.map_size) for name, state in follow(graph).states.items()}
        _known[graph] = {name: Arrangement(axes, size) for name, (axes, size) in found.items() if axes is not None}
    return _known[graph]


_known: WeakKeyDictionary[LayerGraph, dict[str, Arrangement]] = WeakKeyDictionary()  # every click asks for it


def arrangement(graph: LayerGraph, layer: str) -> Arrangement:
    """The arrangement of one layer. Raises UserError where its output is no map."""
    found = arrangements(graph).get(layer)
    if found is None:
        shape = list(graph[layer].output_shape)
        raise UserError(f"layer={layer!r}: its output of shape {shape} has no channels, rows and columns to show.")
    return found


def _axes(state: FieldState) -> str | None:
    """Where the layout is not known, four dimensions are taken as [N, C, H, W] and two as [N, C]."""
    known = "".join(state.layout)
    if sorted(known) in (["C", "H", "N", "W"], ["C", "N", "T"]):
        return known
    return {4: "NCHW", 2: "NC"}.get(len(state.shape))
