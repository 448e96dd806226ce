"""Layers by the names that people know: their own ids, and the modules of the network that they are the output of."""

from __future__ import annotations

from difflib import get_close_matches

from explorer.errors import UnknownNameError, shown
from explorer.graph.layers import Layer, LayerGraph


def find_layer(graph: LayerGraph, name: str) -> Layer:
    """The layer of that id, or the one whose output a module of that path returns, as a forward hook on it sees it.

    Raises UnknownNameError, which names the nearest layers and modules, or those of a module with several outputs.
    """
    if name in graph:
        return graph[name]
    modules = module_outputs(graph)
    found = modules.get(name, ())
    if len(found) == 1:
        return graph[found[0]]
    if found:
        several = ", ".join(found[:4]) + (" …" if len(found) > 4 else "")
        raise UnknownNameError(f"layer={name!r} is a module with {len(found)} outputs: {several}; name one of them.")
    inside = [layer.id for layer in graph if layer.id.startswith(f"{name}.")][-3:]
    known = [*graph.by_id, *(path for path, outputs in modules.items() if len(outputs) == 1)]
    near = inside or get_close_matches(name, known, n=3, cutoff=0.3) or [graph.layers[-1].id]
    raise UnknownNameError(f"layer={shown(name)} is not a layer of this network; the nearest are {', '.join(near)}.")


def layer_or_none(graph: LayerGraph, name: str) -> str | None:
    """The id of what `find_layer` finds; None where there is no such layer."""
    try:
        return find_layer(graph, name).id
    except UnknownNameError:
        return None


def module_outputs(graph: LayerGraph) -> dict[str, tuple[str, ...]]:
    """For each module that encloses layers, by path, the layers whose outputs leave it: one, where it is called once
    and returns one tensor. Modules that are a layer themselves are left out."""
    found: dict[str, list[str]] = {}
    for layer in graph:
        readers = [graph[reader] for reader in graph.consumers[layer.id]]
        for path in _enclosing(layer):
            is_known = path in graph.scopes and path not in graph
            if is_known and (layer.id in graph.outputs or not all(_is_inside(reader, path) for reader in readers)):
                found.setdefault(path, []).append(layer.id)
    return {path: tuple(_after_writes(graph, path, layer) for layer in layers) for path, layers in found.items()}


def _enclosing(layer: Layer) -> list[str]:
    """The paths of the modules around a layer, innermost first; without the network itself."""
    parts = layer.scope.split(".") if layer.scope else []
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _is_inside(layer: Layer, path: str) -> bool:
    return layer.scope == path or layer.scope.startswith(f"{path}.")


def _after_writes(graph: LayerGraph, path: str, name: str) -> str:
    """What the module returns where it writes into an output afterwards without using the result (`F.relu_(y)`)."""
    layer = graph[name]
    held = {buffer.id for buffer in layer.buffers}
    later = graph.layers[graph.layers.index(layer) + 1 :] if held else ()
    writes = [
        other.id for other in later
        if not graph.consumers[other.id] and other.id not in graph.outputs and _is_inside(other, path)
        and other.outputs == layer.outputs and held.intersection(buffer.id for buffer in other.buffers)
    ]  # fmt: skip
    return writes[-1] if writes else name
