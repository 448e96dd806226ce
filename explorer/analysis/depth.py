"""Depth as the papers of convolutional networks count it: layers with weights on the longest way to an output."""

from __future__ import annotations

from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.macs import WEIGHTED


def depth(graph: LayerGraph) -> int:
    """Convolutions and linear layers on the longest path: 16 in VGG-16, 22 in GoogLeNet without auxiliary heads.

    50 in ResNet-50, where a projection shortcut runs beside the three convolutions of its block and is not counted, and
    in SE-ResNet-50, whose gates weigh the maps beside the path. A transformer's linear layers count one by one.
    """
    found = depths(graph)
    return max((found[name] for name in graph.outputs or found), default=0)


def depths(graph: LayerGraph) -> dict[str, int]:
    """For each layer the most convolutions and linear layers up to it, itself included."""
    found: dict[str, int] = {}
    for layer in graph:
        before = max((found[name] for name in _path(layer)), default=0)
        found[layer.id] = before + (layer.kind in WEIGHTED)
    return found


def _path(layer: Layer) -> list[str]:
    """The inputs on the path: of those that are merged, not the gates, which are spread over maps larger than they."""
    size = layer.output_shape[2:]
    shapes = zip(layer.inputs, layer.input_shapes, strict=True)
    on_path = [name for name, shape in shapes if len(shape) < 3 or shape[2:] == size]
    return on_path if layer.kind in ("add", "mul") and on_path else list(layer.inputs)
