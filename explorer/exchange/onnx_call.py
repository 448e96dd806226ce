"""One operation of an .onnx file about to be translated, and the table of how each is."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, cast

from torch import fx

from explorer.errors import UserError
from explorer.exchange.onnx_file import OnnxNode
from explorer.exchange.stored import StoredTensor


@dataclass(frozen=True)
class Sizes:
    """Whole numbers, as of a shape: known ones, and what the program finds out on its input."""

    values: tuple[Any, ...]  # int, or fx.Node
    scalar: bool = False


Value = fx.Node | Sizes | StoredTensor


class Program(Protocol):
    """The program that is made of a file: its graph, how often each name of the file is read, and the file's opset."""

    graph: fx.Graph
    uses: Counter[str]
    opset: int

    def as_sizes(self, value: Value) -> Sizes | None:
        """Whole numbers that are known, or found out by the program; None for what is no short list of them."""
        ...

    def as_tensor(self, value: Value, is_trained: bool = True) -> fx.Node:
        """A value as a tensor of the program; one that is stored is a parameter, or a buffer if it is not trained."""
        ...

    def emit(self, target: Callable[..., Any] | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> fx.Node:
        """Add an operation, a function or a method by name, and run it on meta."""
        ...

    def refusal(self, node: OnnxNode, what: str) -> UserError:
        """The sentence that refuses a file because of one of its operations."""
        ...


class OnnxCall:
    """One operation of a file about to be translated: its operands and attributes, and how to add torch's own."""

    def __init__(self, node: OnnxNode, values: list[Value | None], builder: Program) -> None:
        self.node, self.values, self.builder = node, values, builder

    @property
    def opset(self) -> int:
        return self.builder.opset

    def has(self, place: int) -> bool:
        """Whether this input is given."""
        return place < len(self.values) and self.values[place] is not None

    def value(self, place: int) -> Value:
        if not self.has(place):
            self.refuse(f"lacks its input {place + 1}")
        return cast("Value", self.values[place])

    def tensor(self, place: int) -> fx.Node:
        """An operand as a tensor of the program."""
        return self.builder.as_tensor(self.value(place))

    def optional(self, place: int) -> fx.Node | None:
        return self.tensor(place) if self.has(place) else None

    def shape(self, place: int) -> tuple[int, ...]:
        """The shape of an operand, on the image that the program is made with."""
        return tuple(meta(self.tensor(place)).shape)

    def sizes(self, place: int) -> list[Any]:
        """An operand that is a list of whole numbers: each an int, or an operation of the program."""
        found = self.builder.as_sizes(self.value(place))
        if found is None:
            self.refuse(f"computes its input {place + 1}, whole numbers, in a way that is not followed")
        return list(found.values)

    def whole(self, place: int) -> list[int]:
        """The same, where the numbers have to be known."""
        found = self.sizes(place)
        if not all(isinstance(each, int) for each in found):
            self.refuse(f"has whole numbers as input {place + 1} that depend on the picture")
        return found

    def number(self, place: int) -> float | None:
        """The value of a constant of one element; None for all else."""
        value = self.values[place] if self.has(place) else None
        if isinstance(value, StoredTensor) and value.is_single:
            return value.load().reshape(()).item()
        if isinstance(value, Sizes) and len(value.values) == 1 and isinstance(value.values[0], int):
            return value.values[0]
        return None

    def attribute(self, name: str, default: Any = None) -> Any:
        found = self.node.attributes.get(name)
        return default if found is None else found

    def emit(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """Add a call of a function of torch."""
        return self.builder.emit(target, args, kwargs)

    def refuse(self, what: str) -> NoReturn:
        """Raise UserError that names the operation."""
        raise self.builder.refusal(self.node, what)


def meta(node: fx.Node) -> Any:
    """The result of an operation on meta."""
    return node.meta["val"]


def item(call: OnnxCall, values: fx.Node, place: int) -> fx.Node:
    """One of the tensors that an operation returns."""
    return call.emit(operator.getitem, values, place)


Translation = Callable[[OnnxCall], "Value | list[Value]"]
TRANSLATIONS: dict[str, Translation] = {}


def operation(*names: str) -> Callable[[Translation], Translation]:
    """Enter a function in the table, under the operations that it translates."""

    def enter(function: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(names, function))
        return function

    return enter
