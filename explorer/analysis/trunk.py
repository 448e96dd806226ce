"""The layers through which everything passes, one before each further convolution or linear layer."""

from __future__ import annotations

from explorer.graph.layers import Layer, LayerGraph
from explorer.receptive_field.map_layout import arrangements

_WEIGHTED = frozenset(("conv", "conv_transpose", "linear"))
_ONLY_FORM = frozenset(
    ("input", "flatten", "reshape", "permute", "transpose", "dropout", "identity", "contiguous", "cast")
)


def trunk(graph: LayerGraph, most: int = 8) -> tuple[str, ...]:
    """Ids of at most so many layers, in order, evenly spaced where there are more: the first, and of several the last.

    Each is what the next convolution or linear layer reads, where every path from the image to the output leads through
    it: of ZFNet layers 1 to 7 of the paper.
    """
    shown, found, candidate, is_new = arrangements(graph), list[str](), "", False
    for layer, is_cut in zip(graph, _cuts(graph), strict=True):
        if layer.kind in _WEIGHTED:
            if is_new and candidate not in ("", *found):
                found.append(candidate)
            is_new = True
        if is_cut and layer.kind not in _ONLY_FORM and layer.id in shown:
            candidate = layer.id
    return _spaced(found, most)


def _cuts(graph: LayerGraph) -> list[bool]:
    """Of each layer whether no connection leads past it."""
    place = {layer.id: number for number, layer in enumerate(graph)}
    furthest, found = 0, list[bool]()
    for number, layer in enumerate(graph):
        found.append(furthest <= number)
        furthest = max(furthest, *(place[reader] for reader in graph.consumers[layer.id]), number)
    return found


def _spaced(names: list[str], most: int) -> tuple[str, ...]:
    if len(names) <= most:
        return tuple(names)
    return tuple(names[round(i * (len(names) - 1) / max(1, most - 1))] for i in range(most))


def behind(graph: LayerGraph, layer: Layer, kinds: frozenset[str]) -> Layer:
    """The last layer of these kinds in a row behind a layer, each of which is all that reads the one before."""
    last = layer
    while len(readers := graph.consumers[last.id]) == 1 and graph[readers[0]].kind in kinds:
        last = graph[readers[0]]
    return last
