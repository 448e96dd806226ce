"""How much of each layer answers to a picture: the share of its channels that are dead, and of values that are 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from explorer.analysis.occluder import one_image
from explorer.graph import ops
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import Arrangement, arrangements
from explorer.run.execute import OpCall, first_tensor, run

# What may stand between a weighted layer and its activation.
BETWEEN = frozenset((
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm", "local_response_norm", "dropout", "identity",
    "permute", "transpose", "contiguous",
))  # fmt: skip
_LEADING = BETWEEN | frozenset(ops.ACTIVATIONS) | frozenset(("conv", "conv_transpose", "linear"))
SATURATING = frozenset(
    ("sigmoid", "hardsigmoid", "softplus", "logsigmoid")
)  # whose outputs have one sign whatever comes


@dataclass(frozen=True, slots=True)
class ChannelUse:
    """Of the output of an activation, for one picture: dead, the share of channels of which no unit is above 0, and
    zeros, the share of values that are exactly 0; of how many channels. A channel with NaN is not dead, and NaN not 0.

    activation: the layer whose output that is.
    """

    dead: float
    zeros: float
    channels: int
    activation: str


def channel_use(
    program: TracedProgram,
    image: Tensor,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> dict[str, ChannelUse]:
    """The use of the channels of each layer for one image [C, H, W] or [1, C, H, W], by layer id, in one pass.

    A convolution, linear layer or norm that an activation follows, through norms and dropout and read by nothing else,
    has the figures behind that activation. Others have none, nor have activations whose outputs are of one sign
    (sigmoid). Each map is looked at while the pass holds it, and none is kept. progress: activations done, and of how
    many. Raises Cancelled.
    """
    graph = program.graph
    layouts = arrangements(graph)
    wanted = {layer.id: layouts[layer.id] for layer in graph if layer.id in layouts and _is_told(layer)}
    found: dict[str, ChannelUse] = {}

    def rule(call: OpCall) -> object:
        output = call.default()
        found[call.layer.id] = _use(first_tensor(output), wanted[call.layer.id], call.layer.id)
        if progress is not None:
            progress(len(found), len(wanted))
        return output

    run(program, one_image(image), rules=dict.fromkeys(wanted, rule), cancel=cancel)
    reached = {layer.id: _activation(graph, layer) for layer in graph if layer.kind in _LEADING}
    return {name: found[activation] for name, activation in reached.items() if activation in found}


def _is_told(layer: Layer) -> bool:
    return layer.kind in ops.ACTIVATIONS and layer.kind not in SATURATING


def _activation(graph: LayerGraph, layer: Layer) -> str | None:
    """The activation that a layer is, or that alone reads it; None where there is none."""
    for reached in _readers(graph, layer):
        if reached.kind in ops.ACTIVATIONS:
            return reached.id
    return None


def _readers(graph: LayerGraph, layer: Layer) -> Iterator[Layer]:
    """The layer, and those behind it as long as each is read by one alone and does no more than to normalise."""
    yield layer
    while len(readers := graph.consumers[layer.id]) == 1 and layer.id not in graph.outputs:
        layer = graph[readers[0]]
        yield layer
        if layer.kind not in BETWEEN:
            return


def _use(output: Tensor, layout: Arrangement, name: str) -> ChannelUse:
    maps = layout.maps(output)[0]
    is_dead = (maps <= 0).flatten(1).all(1)
    return ChannelUse(float(is_dead.double().mean()), float((maps == 0).double().mean()), len(maps), name)
