"""A parsed .pt2 file → a module of ATen operations, of those alone that are listed: no code of the file is run."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

from explorer.errors import UserError, shown
from explorer.exchange.program_builder import DEFAULT_SIDE, ProgramBuilder
from explorer.exchange.pt2_file import PT2_TYPES, Pt2Model
from explorer.exchange.pt2_schema import Argument, ExportedNode, OptionalTensor, Symbol
from explorer.graph import ops
from explorer.graph.replayed import Replayed
from explorer.types import InputSize

_ATEN = re.compile(r"torch\.ops\.aten\.([a-z_][a-z0-9_]*)\.([A-Za-z0-9_]+)", re.ASCII)

# Beside the operations that our own tables know and those of torch's core set: what makes tensors, and sizes.
_ALSO = frozenset((
    "arange", "zeros", "ones", "full", "eye", "linspace", "scalar_tensor", "meshgrid", "tril", "triu", "one_hot",
    "sym_size", "sym_numel", "broadcast_tensors", "unsafe_split", "logical_not", "outer",
))  # fmt: skip
_REFUSED = frozenset(("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "as_strided"))
_CHECKS = frozenset(("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size",
                     "sym_constrain_range"))  # fmt: skip

# Of whole numbers that depend on the input: what torch.export writes where it computes sizes.
_ON_SIZES: dict[str, Callable[..., Any]] = {
    **{f"_operator.{name}": getattr(operator, name) for name in (
        "add", "sub", "mul", "floordiv", "mod", "neg", "pos", "truediv", "eq", "ne", "lt", "le", "gt", "ge",
    )},
    "math.trunc": math.trunc, "torch.sym_max": torch.sym_max, "torch.sym_min": torch.sym_min,
    "torch.sym_int": torch.sym_int, "torch.sym_float": torch.sym_float, "torch.sym_not": torch.sym_not,
}  # fmt: skip

_LAYOUTS = {7: torch.strided}
_MEMORY_FORMATS = {
    1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format
}  # fmt: skip


def pt2_input_size(model: Pt2Model) -> InputSize:
    """(channels, height, width) of the input; sides that the file leaves open as they were where it was made."""
    channels, height, width = model.sides
    return channels or 3, height or DEFAULT_SIDE, width or DEFAULT_SIDE


def network_of_pt2(model: Pt2Model, device: str = "cpu") -> Replayed:
    """The module that does what the file says, with its weights on a device ("meta" allocates nothing).

    Raises UserError that names the file, and the operation that is not known or does not fit.
    """
    return _Builder(model, device).built()


class _Builder(ProgramBuilder):
    """The program so far, and what each name of the file stands for."""

    def __init__(self, model: Pt2Model, device: str) -> None:
        network = next((calls[0][2] for node in model.nodes if (calls := _calls(node))), "Network")
        super().__init__(model.name, network, model.input_shape[0], device)
        self.model = model
        self.values: dict[str, fx.Node] = {}
        self._node: ExportedNode | None = None

    def built(self) -> Replayed:
        self.values[self.model.input] = self.image(pt2_input_size(self.model), self.model.dtype)
        for name, (stored, is_trained) in self.model.tensors.items():
            self.values[name] = self.attribute(stored, is_trained)
        for node in self.model.nodes:
            self._translate(node)
        self._node = None
        return self.finished([self._value(name) for name in self.model.outputs])

    def misfit(self, why: str) -> UserError:
        return self._refusal(f"does not fit its input: {why}")

    def _refusal(self, what: str) -> UserError:
        assert self._node is not None
        path = next((path for _, path, _ in reversed(_calls(self._node))), "")
        place = f" in {shown(path)}" if path else ""
        return UserError(f"{self.file}: its operation {shown(self._node.target)}{place} {what}.")

    def _value(self, name: str) -> fx.Node:
        if name not in self.values:
            raise UserError(f"{self.file} is damaged: it reads {shown(name)}, which nothing before makes.")
        return self.values[name]

    def _translate(self, node: ExportedNode) -> None:
        self._node = node
        self.stack = {call: (path, kind) for call, path, kind in _calls(node)}
        target = self._target(node.target)
        if target is None:
            return
        given = node.inputs
        if target is torch.ops.aten.to.device:  # all tensors are where the network is
            target, given = torch.ops.aten.to.dtype, [each for each in given if each.name != "device"]
        positional = [self._argument(each.arg) for each in given if each.kind != 2]
        by_name = {each.name: self._argument(each.arg) for each in given if each.kind == 2}
        self._note(node, self.emit(target, positional, by_name))

    def _target(self, name: str) -> Callable[..., Any] | None:
        """The listed operation of a name; None for one that only checks."""
        if name in _ON_SIZES:
            return _ON_SIZES[name]
        if (parts := _ATEN.fullmatch(name)) is None:
            raise self._refusal("is not known here")
        operation, overload = parts.groups()
        if operation in _CHECKS:
            return None
        found = getattr(getattr(torch.ops.aten, operation, None), overload, None)
        if not isinstance(found, OpOverload) or not _is_listed(operation, found):
            raise self._refusal("is not known here")
        return found

    def _note(self, node: ExportedNode, made: fx.Node) -> None:
        """Give the results of an operation the names that the file has for them."""
        (kind, value), *more = [output.given() for output in node.outputs] or [("", None)]
        if not more and kind in ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
            self.values[_name(value)] = made
            return
        parts: Any = value if kind == "as_tensors" and not more else [each for _, each in [(kind, value), *more]]
        for place, part in enumerate(parts):
            if (name := _name(part)) and isinstance(made.meta["val"], list | tuple):
                self.values[name] = self.emit(operator.getitem, (made, place), {})

    # -- arguments ------------------------------------------------------------------------------------------------

    def _argument(self, argument: Argument) -> Any:
        kind, value = argument.given()
        match value:
            case _ if kind in ("", "as_none"):
                return self._nothing(kind)
            case [*items]:
                return [self._item(item) for item in items]
            case _:
                return self._plain(kind, value) if kind in _TABLES or kind == "as_device" else self._item(value)

    def _nothing(self, kind: str) -> None:
        if not kind:
            raise self._refusal("has an argument of a kind that is not read")

    def _item(self, value: Any) -> Any:
        match value:
            case OptionalTensor():
                return self._value(value.as_tensor.name) if value.as_tensor else None
            case Symbol(as_name=None):
                return next((each for each in (value.as_int, value.as_float, value.as_bool) if each is not None), None)
            case _:
                name = _name(value)
                return self._value(name) if name else value

    def _plain(self, kind: str, value: Any) -> Any:
        """A type, layout or memory format by its number; a device is the one that the network is made on."""
        if kind == "as_device":
            return torch.device(self.device)
        if value not in _TABLES[kind]:
            raise self._refusal(f"has a {kind[3:].replace('_', ' ')} that is not read (number {shown(value)})")
        return _TABLES[kind][value]


_TABLES: dict[str, dict[int, Any]] = {
    "as_scalar_type": {number: dtype for number, (dtype, _) in PT2_TYPES.items()},
    "as_layout": _LAYOUTS, "as_memory_format": _MEMORY_FORMATS,
}  # fmt: skip


def _is_listed(operation: str, overload: OpOverload) -> bool:
    if operation in _REFUSED:
        return False
    known = ops.kind_of_function(overload) != "unknown" or operation in _ALSO
    return known or torch.Tag.core in overload.tags or torch.Tag.pointwise in overload.tags


def _name(value: Any) -> str:
    return getattr(value, "name", None) or getattr(value, "as_name", None) or ""


def _calls(node: ExportedNode) -> list[tuple[str, str, str]]:
    """The modules around an operation, outermost first, as (call, path, class); none where they are not said as torch
    does. One that is called again is "path@1" there, which tells its calls apart.
    """
    found: list[tuple[str, str, str]] = []
    for entry in node.metadata.get("nn_module_stack", "").split(";"):
        match entry.split(",", 2):
            case [call, path, kind]:
                found.append((call, path.partition("@")[0], kind.rpartition(".")[2]))
            case _:
                return []
    return found
