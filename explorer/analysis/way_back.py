"""The signal of a projected unit on its way back to the pixels, layer by layer, as far as a page can show it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from explorer.analysis.deconvnet import Projection
from explorer.graph.layers import LayerGraph
from explorer.receptive_field.map_layout import arrangements


@dataclass(frozen=True, eq=False)
class WayStep:
    """The signal at the output of one layer.

    layer: its id. through: the layers that it came back through on this step; empty at the unit itself, several where
    several layers read this output: what they send back is added. strength: L2 norm of the signal over the channels,
    [rows, columns]. channels: how many there are. carried: how many of all values are not 0.
    """

    layer: str
    through: tuple[str, ...]
    strength: np.ndarray
    channels: int
    carried: int


def way_back(graph: LayerGraph, projection: Projection) -> tuple[WayStep, ...]:
    """The steps of a projection that kept them, from the unit to the image, without the signals themselves."""
    known, carrying = arrangements(graph), frozenset(step.layer for step in projection.steps)
    silent = frozenset(layer.id for layer in graph if layer.id not in known or len(layer.outputs) > 1)
    return tuple(
        WayStep(
            step.layer, tuple(dict.fromkeys(_through(graph, step.layer, silent, carrying))),
            _strength(step.signal), len(step.signal), int((step.signal != 0).sum()),
        )
        for step in projection.steps
    )  # fmt: skip


def _through(graph: LayerGraph, layer: str, silent: Collection[str], carrying: Collection[str]) -> Iterator[str]:
    """The layers between this output and the nearest steps before, the farthest first.

    silent: layers of which no signal is kept, as their output is no map, or several; other layers that are not
    `carrying` got none.
    """
    for reader in graph.consumers[layer]:
        if reader in carrying:
            yield reader
        elif reader in silent and (before := list(_through(graph, reader, silent, carrying))):
            yield from (*before, reader)


def _strength(signal: Tensor) -> np.ndarray:
    return signal.double().square().sum(0).sqrt().float().cpu().numpy()
