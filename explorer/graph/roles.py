"""Which role each input of a layer plays: what no list of inputs tells, and receptive fields need to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from explorer.graph import macs, ops
from explorer.types import is_sequence

# Kinds that do different things with different operands, and those whose operand may be a weight alone.
_WITH_ROLES = frozenset(("matmul", "einsum", "attention", "stack"))
_WEIGHTED = macs.WEIGHTED | {"einsum", "attention", "stack"}
_LONGEST_INDEX = 4096


class Roles:
    """sources: operation → the layers whose tensors it carries; values: operation → its result on meta; attribute: what
    a network keeps under the name that an operation reads."""

    def __init__(
        self, sources: Mapping[fx.Node, list[str]], values: Mapping[fx.Node, Any], attribute: Callable[[fx.Node], Any]
    ) -> None:
        self._sources, self._values, self._attribute = sources, values, attribute

    def of(self, n: fx.Node, kind: str, inputs: list[str]) -> dict[str, Any]:
        """Which inputs a layer has in which role, where that is not simply the first: operands, in order, as places in
        `inputs` (None: weights), and for joined tensors also their sizes; an einsum's equation."""
        if kind == "concat":
            return self._joined(n, inputs)
        if kind == "matmul" and (dim := self._contracted(n)) is not None:
            return {"contracted": dim}
        if kind not in _WEIGHTED and (len(inputs) == 1 or kind not in _WITH_ROLES):
            return {}
        nodes = _nodes((n.args, n.kwargs))
        operands = tuple([self._place(source, inputs) for source in nodes])
        plain = kind not in ("einsum", "attention") and operands[:1] == (0,) and len(inputs) == 1
        found: dict[str, Any] = {} if plain else {"operands": operands}
        if found and operands[:1] == (None,):
            found["input_shape"] = tuple(self._values[nodes[0]].shape)
        if kind == "einsum":
            found["equation"] = n.args[0]
        return found

    def _joined(self, n: fx.Node, inputs: list[str]) -> dict[str, Any]:
        """The parts of a concat in order, as (place in `inputs`, size), if weights are among them."""
        nodes = _nodes((n.args, n.kwargs))
        if all(source in self._sources for source in nodes):
            return {}
        dim = n.args[1] if len(n.args) > 1 else n.kwargs.get("dim", 0)
        return {"joined": tuple([(self._place(s, inputs), self._values[s].shape[dim]) for s in nodes])}

    def _place(self, source: fx.Node, inputs: list[str]) -> int | None:
        names = self._sources.get(source)
        return inputs.index(names[0]) if names else None

    def _contracted(self, n: fx.Node) -> int | None:
        """The dimension of the activation over which its product with weights runs; None for two activations."""
        read = [source in self._sources for source in n.args]
        return (-1 if read[0] else -2) if sorted(read) == [False, True] else None

    def index(self, n: fx.Node, index: Any) -> Any:
        """An index with the numbers that are kept in buffers written out; aten writes None for a whole dimension."""
        given = n.args[1] if len(n.args) > 1 else None
        items = given if is_sequence(given) else (given,)
        if not any(isinstance(i, fx.Node) for i in items):
            return index
        aten = isinstance(n.target, OpOverload)
        found = [
            self._numbers(i) if isinstance(i, fx.Node) else slice(None) if aten and i is None else i for i in items
        ]
        return index if None in found and aten else tuple(found)

    def _numbers(self, n: fx.Node) -> tuple[int, ...] | None:
        """The values of a short list of positions that a network keeps."""
        while n.op == "call_function" and ops.kind_of_function(n.target) == "contiguous":  # torch.export copies it
            (n,) = n.all_input_nodes
        kept = self._attribute(n) if n.op == "get_attr" else None
        if not isinstance(kept, Tensor) or kept.is_meta or kept.dim() != 1 or len(kept) > _LONGEST_INDEX:
            return None
        return tuple([int(i) for i in kept]) if not kept.is_floating_point() and kept.dtype != torch.bool else None


def _nodes(arguments: Any) -> list[fx.Node]:
    """The operations among arguments, in order, as often as they occur."""
    found: list[fx.Node] = []
    fx.map_arg(arguments, found.append)
    return found
