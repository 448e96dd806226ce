"""What a network costs: parameters, multiply-accumulates, and bytes of activations, at batch 1.

MACs are counted for convolutions, linear layers and attention products, as the papers do; FLOPs are twice that. Bias,
norms and activations are not MACs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from explorer.graph import ops
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.macs import TRANSPOSED

# Kinds that need no multiply-accumulates by the convention above.
_FREE = frozenset(
    (
        *ops.ACTIVATIONS, *ops.POINTWISE, *ops.ARITHMETIC, *ops.REDUCTIONS, "input", "max_pool", "avg_pool", "lp_pool",
        "adaptive_avg_pool", "adaptive_max_pool", "local_response_norm", "batch_norm", "layer_norm", "group_norm",
        "instance_norm", "rms_norm", "concat", "stack", "reshape", "flatten", "permute", "transpose", "movedim",
        "squeeze", "unsqueeze", "expand", "repeat", "chunk", "unbind", "select", "slice", "index", "roll", "flip",
        "pad", "interpolate", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "softmax", "normalize", "constant",
        "unfold", "fold", "windows", "pool1d", "pool3d", "unpool", "sort",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """params: elements counted at the first layer that uses them; macs: None where the operation is unknown;
    activation_bytes: of the outputs that the layer allocates (0 for a view of its input)."""

    params: int
    macs: int | None
    activation_bytes: int


def costs(graph: LayerGraph) -> dict[str, Cost]:
    """The cost of every layer, by id. Shared parameters and shared storage are counted once."""
    parameters: set[str] = set()
    storages: set[int] = set()
    found: dict[str, Cost] = {}
    for layer in graph:
        share = sum(graph.parameter_sizes[name] for name in layer.parameters if name not in parameters)
        parameters |= set(layer.parameters)
        allocated = {b.id: b.size_bytes for b in layer.buffers if b.id not in storages}
        storages |= set(allocated)
        found[layer.id] = Cost(share, macs(layer), sum(allocated.values()))
    return found


def macs(layer: Layer) -> int | None:
    """Multiply-accumulates of one layer at batch 1; None where the operation is unknown and holds no products."""
    if layer.kind in _FREE:
        return layer.attributes.get("products", 0)  # of one's own operations there may be some
    fan_in = layer.attributes.get("fan_in")
    if fan_in is not None:
        read = layer.attributes.get("input_shape") or layer.input_shapes[0] if layer.kind in TRANSPOSED else None
        return fan_in * prod(read or layer.output_shape)
    return layer.attributes.get("products")


def peak_bytes(graph: LayerGraph) -> int:
    """Most bytes of activations alive at once at inference: each is freed after the last layer that reads it."""
    last_use: dict[int, int] = {}
    for step, layer in enumerate(graph):
        for name in (*layer.inputs, layer.id):
            for buffer in graph[name].buffers:
                last_use[buffer.id] = step
    for name in graph.outputs:
        for buffer in graph[name].buffers:
            last_use[buffer.id] = len(graph)
    alive: dict[int, int] = {}
    peak = 0
    for step, layer in enumerate(graph):
        alive.update((b.id, b.size_bytes) for b in layer.buffers)
        peak = max(peak, sum(alive.values()))
        alive = {key: size for key, size in alive.items() if last_use[key] > step}
    return peak
