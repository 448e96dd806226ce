"""One module of a layer graph as a graph of its own. Standard library only."""

from __future__ import annotations

from dataclasses import replace

from explorer.errors import UserError, shown
from explorer.graph.layers import Layer, LayerGraph


def module_graph(graph: LayerGraph, path: str) -> LayerGraph:
    """The layers within a module, under their names in it; what they read from outside are its inputs.

    path: "" for the whole network. Raises UserError that names a path in which no layer lies.
    """
    if not path:
        return graph
    inside = {layer.id for layer in graph if _is_within(layer.scope, path) or _is_within(layer.id, path)}
    if not inside:
        raise UserError(f"module={shown(path)} is no module of this network that computes anything.")
    held = [layer for layer in graph if layer.id in inside]
    outside = dict.fromkeys(name for layer in held for name in layer.inputs if name not in inside)
    read = {name for layer in graph if layer.id not in inside for name in layer.inputs} | set(graph.outputs)
    layers = [*(_as_input(graph[name]) for name in outside), *(_renamed(layer, inside, path) for layer in held)]
    scopes = {_inner(scope, path): name for scope, name in graph.scopes.items() if scope.startswith(f"{path}.")}
    outputs = tuple(_inner(layer.id, path) for layer in held if layer.id in read)
    return replace(graph, layers=tuple(layers), outputs=outputs, scopes=scopes, failure=None)


def _is_within(name: str, path: str) -> bool:
    return name == path or name.startswith((f"{path}.", f"{path}#"))


def _inner(name: str, path: str) -> str:
    return name.removeprefix(f"{path}.")


def _as_input(layer: Layer) -> Layer:
    return replace(layer, kind="input", op="input", scope="", inputs=(), input_shapes=(), window=None, parameters=(),
                   param_count=0, attributes={})  # fmt: skip


def _renamed(layer: Layer, inside: set[str], path: str) -> Layer:
    inputs = tuple(_inner(name, path) if name in inside else name for name in layer.inputs)
    scope = "" if layer.scope == path else _inner(layer.scope, path)
    return replace(layer, id=_inner(layer.id, path), scope=scope, inputs=inputs)
