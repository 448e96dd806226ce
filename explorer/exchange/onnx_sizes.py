"""Whole numbers that a file computes from shapes, as for a reshape: on known numbers here, else by the program."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from torch import fx

from explorer.exchange.onnx_call import OnnxCall, Sizes
from explorer.exchange.stored import StoredTensor

MOST_COMPUTED = 4096  # numbers of one list


def computed(call: OnnxCall) -> Sizes | None:
    """What an operation makes of shapes and whole numbers; None for one that works on tensors."""
    if call.node.op == "Shape":
        return _shape(call)
    if call.node.op == "Constant":
        return _constant(call)
    rule = _RULES.get(call.node.op)
    operands = [None if value is None else call.builder.as_sizes(value) for value in call.values]
    if rule is None or not operands or operands[0] is None or any(
        found is None and call.has(place) for place, found in enumerate(operands)
    ):  # fmt: skip
        return None
    found = rule(call, [each for each in operands if each is not None])
    if found is not None and len(found.values) > MOST_COMPUTED:
        call.refuse(f"makes a list of more than {MOST_COMPUTED:,} whole numbers")
    return found


def _shape(call: OnnxCall) -> Sizes:
    value = call.value(0)
    if isinstance(value, Sizes):
        return Sizes((len(value.values),))
    if isinstance(value, StoredTensor):
        sides: list[Any] = list(value.shape)
    else:
        sides = [call.builder.emit("size", (value, place), {}) for place in range(len(call.shape(0)))]
    return Sizes(tuple(sides[call.attribute("start", 0) : call.attribute("end", len(sides))]))


def _constant(call: OnnxCall) -> Any:
    """A constant is a stored tensor, or whole numbers among the attributes."""
    for name in ("value_int", "value_ints"):
        found = call.attribute(name)
        if found is not None:
            return Sizes((found,), scalar=True) if name == "value_int" else Sizes(tuple(found))
    stored = call.attribute("value")
    return stored if isinstance(stored, StoredTensor) else call.refuse("has a value of a kind that is not read")


def _concat(_: OnnxCall, operands: list[Sizes]) -> Sizes:
    return Sizes(tuple(value for each in operands for value in each.values))


def _gather(call: OnnxCall, operands: list[Sizes]) -> Sizes:
    values, places = operands
    try:
        return Sizes(tuple(values.values[place] for place in places.values), places.scalar)
    except (IndexError, TypeError):
        call.refuse("reads a side that a shape does not have")


def _unsqueeze(_: OnnxCall, operands: list[Sizes]) -> Sizes | None:
    return Sizes(operands[0].values) if operands[0].scalar else None


def _squeeze(_: OnnxCall, operands: list[Sizes]) -> Sizes | None:
    return Sizes(operands[0].values, scalar=True) if len(operands[0].values) == 1 else None


def _same(_: OnnxCall, operands: list[Sizes]) -> Sizes:
    return operands[0]


def _reshape(_: OnnxCall, operands: list[Sizes]) -> Sizes | None:
    values, shape = operands
    if shape.values == ():
        return Sizes(values.values, scalar=True)
    return Sizes(values.values) if len(shape.values) == 1 else None


def _slice(_: OnnxCall, operands: list[Sizes]) -> Sizes | None:
    numbers = [each.values[0] for each in operands[1:] if len(each.values) == 1]
    if len(numbers) != len(operands) - 1 or not all(isinstance(each, int) for each in numbers):
        return None
    start, end, step = numbers[0], numbers[1], numbers[3] if len(numbers) > 3 else 1
    return Sizes(operands[0].values[start:end:step]) if step else None


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[OnnxCall, list[Sizes]], Sizes | None]:
    def rule(call: OnnxCall, operands: list[Sizes]) -> Sizes | None:
        a, b = operands
        length = max(len(a.values), len(b.values))
        if {len(a.values), len(b.values)} - {1, length}:
            return None
        pairs = zip(a.values * (length // len(a.values)), b.values * (length // len(b.values)), strict=True)
        return Sizes(tuple(_combined(call, function, *pair) for pair in pairs), a.scalar and b.scalar)

    return rule


def _combined(call: OnnxCall, function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    if isinstance(a, fx.Node) or isinstance(b, fx.Node):
        return call.emit(function, a, b)
    try:
        found = function(a, b)
    except ArithmeticError:
        call.refuse("divides a shape by 0")
    return found if abs(found) < 2**63 else call.refuse("computes a number that is no size")


_RULES: dict[str, Callable[[OnnxCall, list[Sizes]], Sizes | None]] = {
    "Concat": _concat, "Gather": _gather, "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Cast": _same,
    "Identity": _same, "Reshape": _reshape, "Slice": _slice, "Add": _arithmetic(operator.add),
    "Sub": _arithmetic(operator.sub), "Mul": _arithmetic(operator.mul), "Div": _arithmetic(operator.floordiv),
    "Mod": _arithmetic(operator.mod), "Max": _arithmetic(max), "Min": _arithmetic(min),
}  # fmt: skip
