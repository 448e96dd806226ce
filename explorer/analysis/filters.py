"""The filters of a convolution or linear layer: its weights, by output channel, as the network uses them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.trace import TracedProgram

FILTERED = frozenset(("conv", "conv_transpose", "linear"))


@dataclass(frozen=True, eq=False)
class LayerFilters:
    """weights: [output channels, input channels of one group, rows, columns], of a linear layer 1×1; never copied where
    they lie so in memory. groups: into how many the channels are cut. reads_image: whether its input channels are the
    image's."""

    weights: np.ndarray
    groups: int
    reads_image: bool

    @property
    def is_matrix(self) -> bool:
        """Whether a filter has no extent, so that there is nothing to see in one alone."""
        return self.weights.shape[2:] == (1, 1)

    @cached_property
    def norms(self) -> np.ndarray:
        """The L2 norm of each filter, [output channels]."""
        return np.sqrt(np.array([np.square(one, dtype=np.float64).sum() for one in self.weights]))

    def input_channel(self, output: int, place: int) -> int:
        """The number of the input channel at `place` within the group that an output channel reads."""
        outputs, inputs = self.weights.shape[:2]
        return output // (outputs // self.groups) * inputs + place


def has_filters(layer: Layer) -> bool:
    """Whether `filters_of` has something to show of a layer."""
    return layer.kind in FILTERED and bool(layer.parameters)


def filters_of(program: TracedProgram, layer_id: str) -> LayerFilters | None:
    """The filters of a layer; None where it has none, or none of two dimensions. Weights that are computed (as by a
    weight norm) are those that the layer computes with."""
    layer = program.graph[layer_id]
    weight = _weight(program, layer) if has_filters(layer) else None
    if weight is None or weight.dim() not in (2, 4):
        return None
    (groups,) = layer.numbers("groups") or (1,)
    weights = _by_output(weight.detach().float().cpu(), groups, layer.kind)
    return LayerFilters(weights.numpy(), groups, _reads_image(program.graph, layer))


def _weight(program: TracedProgram, layer: Layer) -> Tensor | None:
    node = program.nodes[layer.id]
    if node.op == "call_module":
        found: Any = getattr(operator.attrgetter(str(node.target))(program.module), "weight", None)
        return found if isinstance(found, Tensor) else None
    return next((tensor for tensor in _parameters(program.module, layer) if tensor.dim() > 1), None)


def _parameters(module: nn.Module, layer: Layer) -> Iterator[Tensor]:
    """Of a function, the parameters that it is called with."""
    own = dict(module.named_parameters())
    return (own[name] for name in layer.parameters if name in own)


def _by_output(weight: Tensor, groups: int, kind: str) -> Tensor:
    """[out, in of a group, rows, columns]; transposed convolutions keep them as [in, out of a group, …]."""
    if weight.dim() == 2:
        return weight[:, :, None, None]
    if kind != "conv_transpose":
        return weight
    inputs, outputs = weight.shape[:2]
    parts = weight.reshape(groups, inputs // groups, outputs, *weight.shape[2:]).transpose(1, 2)
    return parts.reshape(groups * outputs, inputs // groups, *weight.shape[2:])


def _reads_image(graph: LayerGraph, layer: Layer) -> bool:
    """Whether its input is the image, be it normalised on the way."""
    while len(layer.inputs) == 1:
        layer = graph[layer.inputs[0]]
        if layer.kind == "input":
            return True
        if layer.kind not in ("add", "sub", "mul", "div", "identity", "contiguous", "cast"):
            return False
    return False


def strongest(found: LayerFilters, count: int) -> list[int]:
    """The output channels whose filters have the greatest norms, those that are not finite last."""
    norms = np.where(np.isfinite(found.norms), found.norms, -1.0)
    return [int(number) for number in np.argsort(-norms, kind="stable")[:count]]
