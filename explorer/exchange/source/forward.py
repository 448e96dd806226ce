"""The forward of one class: the lines of Python that do what a call of the module did in the trace."""

from __future__ import annotations

import builtins
import math
import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import fx
from torch.nn import functional

from explorer.errors import UserError
from explorer.exchange.source.calls import ModuleCall
from explorer.exchange.source.expressions import Name, is_number, literal
from explorer.exchange.source.functions import can_be_copied
from explorer.graph.ops import function_name, kind_of_function

Label = tuple[str, str]  # of a number: the function or part that it belongs to, and what it is there
GapNumber = tuple[Label, Any]
LONGEST_EXPRESSION = 88  # characters of an expression that others are written into
_SYMBOLS: dict[Any, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//",
    operator.mod: "%", operator.pow: "**", operator.matmul: "@", operator.eq: "==", operator.ne: "!=",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.and_: "&", operator.or_: "|",
}  # fmt: skip


class Forward:
    """Writes one body. relative(path) is the expression of a module or weight from `self`; is_called(call) tells
    whether a call inside is written as a call of that module, or by what happens in it."""

    def __init__(
        self, call: ModuleCall, relative: Callable[[str], str], is_called: Callable[[ModuleCall], bool],
        inputs: list[fx.Node], outputs: list[fx.Node],
    ) -> None:  # fmt: skip
        self.relative, self.is_called, self.path = relative, is_called, call.path
        self.names: dict[fx.Node, str] = {}  # value → its variable, or the expression that is written where it is read
        self.lines: list[str] = []
        self.figures: list[GapNumber] = []  # the numbers that are arguments, each a gap in the lines
        self.compound: set[str] = set()  # expressions of two operands, which need brackets within others
        self.signature = tuple("x" if not number else f"x{number + 1}" for number in range(len(inputs)))
        self.names.update(zip(inputs, self.signature, strict=True))
        self.outputs = outputs
        self.items = list(self._flattened(call))
        self.last = {node: place for place, each in enumerate(self.items) for node in self._read(each)}
        for node in outputs:
            self.last[node] = len(self.items)

    def written(self) -> list[str]:
        """The lines below `def`."""
        for place, each in enumerate(self.items):
            self._write(place, each)
        results = [self.names[node] for node in self.outputs]
        return [*self.lines, f"return {', '.join(results)}"]

    def _flattened(self, call: ModuleCall) -> Any:
        for each in call.items:
            if isinstance(each, ModuleCall) and not self.is_called(each):
                yield from self._flattened(each)
            else:
                yield each

    def _read(self, each: fx.Node | ModuleCall) -> list[fx.Node]:
        return each.inputs if isinstance(each, ModuleCall) else each.all_input_nodes

    def _write(self, place: int, each: fx.Node | ModuleCall) -> None:
        made = each.outputs if isinstance(each, ModuleCall) else [each]
        text = self._called(each) if isinstance(each, ModuleCall) else self._operation(each)
        if len(made) == 1 and self._fits_into_the_next(place, made[0], text):
            self.names[made[0]] = text
            return
        read = [node for node in self._read(each) if self.last[node] == place]
        names: list[str] = []
        for _ in made:
            names.append(self._variable(read, place, names))
        self.names.update(zip(made, names, strict=True))
        is_read = any(node in self.last for node in made)
        self.lines.append(f"{', '.join(names)} = {text}" if is_read else text)

    def _fits_into_the_next(self, place: int, made: fx.Node, text: str) -> bool:
        """Whether a value is read once, by what comes next, and there is room for it there."""
        if place + 1 == len(self.items):
            return self.outputs == [made] and len(text) <= LONGEST_EXPRESSION
        following = self.items[place + 1]
        times = sum(source is made for source in self._reads_of(following))
        return self.last.get(made) == place + 1 and times == 1 and len(text) <= LONGEST_EXPRESSION - 30

    def _reads_of(self, each: fx.Node | ModuleCall) -> list[fx.Node]:
        if isinstance(each, ModuleCall):
            return each.inputs
        found: list[fx.Node] = []
        fx.map_arg((each.args, each.kwargs), found.append)
        return found

    def _variable(self, read: list[fx.Node], place: int, taken: Sequence[str]) -> str:
        """The variable of a value that is read for the last time here, or a new one; none that is taken."""
        for node in read:
            name = self.names.get(node, "")
            if name.isidentifier() and name not in taken:
                return name
        alive = {name for node, name in self.names.items() if self.last.get(node, -1) > place} | {*taken}
        return next(name for n in range(1, 10_000) if (name := "out" if n == 1 else f"out{n}") not in alive)

    # -- expressions --------------------------------------------------------------------------------------------------

    def _value(self, node: fx.Node) -> str:
        if node in self.names:
            return self.names[node]
        assert node.op == "get_attr"
        return self.relative(str(node.target))

    def _named(self, node: fx.Node) -> Any:
        return Name(self._value(node))

    def text(self, value: Any, label: Label = ("", "")) -> str:
        """An argument as Python: values by their variables, in the structure that they stand in; numbers as gaps."""
        found: Any = self._with_gaps(_plain(fx.map_arg(value, self._named)), label)
        return found.text if isinstance(found, Name) else literal(found)

    def _with_gaps(self, value: Any, label: Label) -> Any:
        if isinstance(value, dict):
            return {key: self._with_gaps(each, label) for key, each in value.items()}
        if isinstance(value, tuple | list):
            return type(value)([self._with_gaps(each, label) for each in value])
        if isinstance(value, slice):
            return slice(*(self._with_gaps(each, label) for each in (value.start, value.stop, value.step)))
        if not is_number(value):
            return value
        self.figures.append((label, value))
        return Name(f"\0{len(self.figures) - 1}\0")

    def _called(self, call: ModuleCall) -> str:
        return f"{self.relative(call.path)}({', '.join(self._value(node) for node in call.inputs)})"

    def _operation(self, node: fx.Node) -> str:
        name = function_name(node.target)
        if _does_nothing(node):
            return self.text(node.args[0])
        args = [self.text(each, (name, _argument_name(name, place))) for place, each in enumerate(node.args)]
        named = [f"{key}={self.text(each, (name, key))}" for key, each in node.kwargs.items()]
        if node.op == "call_module":
            return f"{self.relative(str(node.target))}({', '.join([*args, *named])})"
        if node.op == "call_method":
            return f"{self._atom(args[0])}.{node.target}({', '.join([*args[1:], *named])})"
        if node.target is operator.getitem:
            return f"{self._atom(args[0])}[{_index(node.args[1], args[1])}]"
        if node.target is getattr:
            return f"{self._atom(args[0])}.{node.args[1]}"
        if node.target in _SYMBOLS and len(args) == 2:
            text = f"{self._atom(args[0])} {_SYMBOLS[node.target]} {self._atom(args[1])}"
            self.compound.add(text)
            return text
        return f"{function_text(node.target)}({', '.join([*args, *named])})"

    def _atom(self, text: str) -> str:
        """An expression that something may be put behind or beside."""
        gap = re.fullmatch("\0(\\d+)\0", text)
        is_gap = gap is not None and self.figures[int(gap[1])][1] < 0
        return f"({text})" if text in self.compound or is_gap else text


def _does_nothing(node: fx.Node) -> bool:
    """Whether an operation is a dropout of inference, whoever wrote it: torchvision's files have one of their own."""
    is_dropout = node.op == "call_function" and kind_of_function(node.target) == "dropout"
    training = node.kwargs.get("training", node.args[-1] if len(node.args) > 2 else None)
    return is_dropout and training is False


def filled(line: str, figures: Sequence[str]) -> str:
    """A line with texts in its gaps."""
    return re.sub("\0(\\d+)\0", lambda gap: figures[int(gap[1])], line)


@lru_cache(maxsize=1024)
def _argument_name(function: str, place: int) -> str:
    """What torch calls an argument of one of its operations."""
    packet = getattr(torch.ops.aten, function, None)
    for overload in packet.overloads() if packet is not None else ():
        arguments = getattr(packet, overload)._schema.arguments
        if place < len(arguments):
            return arguments[place].name
    return "size"


def _plain(value: Any) -> Any:
    """fx keeps lists and dicts of kinds of its own."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return slice(*map(_plain, (value.start, value.stop, value.step))) if isinstance(value, slice) else value


def _index(value: Any, text: str) -> str:
    return text[1:-1].rstrip(",") if isinstance(value, tuple) and value else text


def function_text(target: Any) -> str:
    """The name by which a file calls a function. Raises UserError for one that is neither torch's nor Python's, and
    whose source does not say all that it does."""
    name = getattr(target, "__name__", "")
    if isinstance(target, torch._ops.OpOverload):
        return f"torch.ops.{target.namespace}.{target.overloadpacket.__name__}.{target._overloadname}"
    for owner, prefix in ((functional, "F"), (torch, "torch"), (torch.Tensor, "torch.Tensor"), (math, "math"),
                          (operator, "operator"), (torch.linalg, "torch.linalg"), (builtins, "")):  # fmt: skip
        if getattr(owner, name, None) is target:
            return f"{prefix}.{name}" if prefix else name
    if can_be_copied(target):
        return name
    where = getattr(target, "__module__", "") or ""
    raise UserError(f"The network calls {where}.{name}, which is not torch's and cannot be written as Python.")
