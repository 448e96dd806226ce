"""Which channels of the layer below feed a unit: their shares in its activation, for pictures that excite it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.deconvnet import saved_tensors_mutable
from explorer.analysis.filters import FILTERED
from explorer.analysis.passes import Cancel
from explorer.errors import UserError
from explorer.graph.layers import LayerGraph
from explorer.graph.reasons import reason
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import first_tensor, run
from explorer.types import Cell


@dataclass(frozen=True, eq=False)
class Feeders:
    """layer: whose channels feed the unit. contributions: [channels], in units of the unit's activation, the mean over
    the pictures; from the nearest convolution on they add up to it, but for biases."""

    layer: str
    contributions: np.ndarray

    def strongest(self, count: int) -> list[int]:
        """The channels that contribute most, to either side, greatest first."""
        order = np.argsort(-np.abs(self.contributions), kind="stable")[:count]
        return [int(channel) for channel in order if self.contributions[channel]]


def nearest_filters(graph: LayerGraph, layer: str) -> str | None:
    """The convolution or linear layer that makes a layer's maps, with nothing but layers of one input in between.

    None where several branches are joined before one is found.
    """
    found = graph[layer]
    while len(found.inputs) == 1 and found.kind not in FILTERED:
        found = graph[found.inputs[0]]
    return found.id if found.kind in FILTERED and len(found.inputs) == 1 else None


def joined_below(graph: LayerGraph, layer: str) -> tuple[str, ...]:
    """The layers that are joined right before a layer, with nothing but layers of one input in between; none if not."""
    found = graph[layer]
    while len(found.inputs) == 1 and found.kind not in FILTERED:
        found = graph[found.inputs[0]]
    return tuple(dict.fromkeys(found.inputs)) if len(found.inputs) > 1 else ()


def feeders(
    program: TracedProgram,
    images: Tensor,
    layer: str,
    channel: int,
    positions: Sequence[Cell],
    cancel: Cancel | None = None,
) -> Feeders:
    """What each input channel of the nearest convolution adds to a unit: input × gradient, summed over the map.

    images: the network's input [N, C, H, W]; positions: (row, column) of the unit in each. layer: an id.
    Raises UserError (several branches are joined right before the layer, or it has no gradient), Cancelled.
    """
    filters = nearest_filters(program.graph, layer)
    if filters is None:
        raise UserError(f"layer={layer!r} joins several branches: no one layer feeds it.")
    source = program.graph[filters].inputs[0]
    given = first_tensor(run(program, images, until=source, cancel=cancel).output)
    leaf = given.detach().clone().requires_grad_()
    try:
        with saved_tensors_mutable(program, cancel or (lambda: False)):
            output = run(program, images, until=layer, start={source: leaf}, cancel=cancel, grad=True).output
            maps = arrangement(program.graph, layer).maps(first_tensor(output))
            units = torch.stack([maps[i, channel][cell] for i, cell in enumerate(positions)])
            (gradient,) = torch.autograd.grad(units.sum(), leaf)
    except RuntimeError as error:
        raise UserError(f"layer={layer!r}: no gradient leads from it to {source!r}: {reason(error)}") from error
    shares = arrangement(program.graph, source).maps(leaf.detach() * gradient).sum((2, 3)).mean(0)
    return Feeders(source, shares.float().cpu().numpy())
