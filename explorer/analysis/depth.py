"""Depth as the papers count it: layers with weights on the longest way from the input to an output."""

from __future__ import annotations

from explorer.graph import LayerGraph

WEIGHTED = frozenset({"conv", "conv1d", "conv_transpose", "linear"})


def depth(graph: LayerGraph) -> int:
    """Convolutions and linear layers on the longest path: 50 in ResNet-50, where a projection shortcut runs beside
    the three convolutions of its block and is not counted, 16 in VGG-16, 22 in GoogLeNet without auxiliary heads."""
    return max(depths(graph).values(), default=0)


def depths(graph: LayerGraph) -> dict[str, int]:
    """For each layer the most convolutions and linear layers up to it, itself included."""
    found: dict[str, int] = {}
    for layer in graph:
        before = max((found[name] for name in layer.inputs), default=0)
        found[layer.id] = before + (layer.kind in WEIGHTED)
    return found
