"""What the modules inside a TorchScript module return: hooks on them are never run, so its graph is cut there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from explorer.errors import UserError


def output_of(module: Any, path: str, image: Tensor) -> Any:
    """What the submodule of that path returns at its first call, for images [N, C, H, W].

    Raises UserError where it is not called, or only within a branch or a loop of the script.
    """
    owner, method, values, parts = module, "forward", (image.clone(),), path.split(".")
    for _ in range(100):  # of modules within modules
        graph = owner._c._get_method(method).graph.copy()
        node, names = _next_call(graph, parts)
        if node is None:
            break
        parts = parts[len(names) :]
        if names and not parts:
            return _evaluate(graph, node, owner, values)
        method = node.s("name")
        values = _evaluate(graph, node, owner, values, arguments=True)
        for name in names:
            owner = getattr(owner, name)
    raise UserError(f"layer={path[:80]!r} is not called by this network, or within a branch of its script.")


def _next_call(graph: Any, parts: list[str]) -> tuple[Any, list[str]]:
    """The first call on the way to a submodule, and the part of its path that this goes; that part is empty for
    another method of the same module. Containers, which are not called themselves, are passed over."""
    calls = [node for node in graph.nodes() if node.kind() == "prim::CallMethod"]
    found = [(node, _names(next(iter(node.inputs())))) for node in calls]
    inwards = [(node, names) for node, names in found if names and parts[: len(names)] == names]
    return next(iter(inwards or [(node, names) for node, names in found if not names]), (None, []))


def _names(value: Any) -> list[str]:
    """The path of a submodule, relative to the module whose graph it is in."""
    node = value.node()
    if node.kind() != "prim::GetAttr":
        return []
    return [*_names(next(iter(node.inputs()))), node.s("name")]


def _evaluate(graph: Any, call: Any, owner: Any, values: tuple[Any, ...], arguments: bool = False) -> Any:
    """What a call in a graph of `owner` returns, or the tuple of its arguments; what comes after it, and may write
    into them, is cut off."""
    while list(graph.outputs()):
        graph.eraseOutput(0)
    wanted = list(call.inputs())[1:] if arguments else [call.output()]
    for value in wanted:
        graph.registerOutput(value)
    nodes = list(graph.nodes())
    first = nodes.index(call) + (0 if arguments else 1)
    for node in reversed(nodes[first:]):
        node.destroy()
    if len(wanted) > 1:
        graph.makeMultiOutputIntoTuple()
    found = torch._C._create_function_from_graph("forward", graph)(owner, *values)
    return (found,) if len(wanted) == 1 and arguments else found
