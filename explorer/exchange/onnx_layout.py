"""Operations of ONNX that move values without changing them: reshapes, transposes, slices, concatenations."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import fx

from explorer.exchange.onnx_call import OnnxCall, Value, item, meta, operation
from explorer.exchange.stored import StoredTensor

MOST_INDICES = 4096
MOST_MADE = 2**27  # values of a tensor that a file makes of sizes alone, which no estimate of memory counts
_OPEN_END = 2**31 - 1  # what exporters write for "to the end", or more


@operation("Reshape")
def _reshape(call: OnnxCall) -> Value:
    x, sizes = call.tensor(0), call.sizes(1)
    if not call.attribute("allowzero", 0):
        sides = range(len(call.shape(0)))
        sizes = [call.builder.emit("size", (x, i), {}) if n == 0 and i in sides else n for i, n in enumerate(sizes)]
    if _is_flat(call, sizes):
        return call.emit(torch.flatten, x, 1)
    return call.emit(torch.reshape, x, tuple(sizes))


def _is_flat(call: OnnxCall, sizes: list[Any]) -> bool:
    """Whether a new shape keeps the pictures apart, and puts all that is in one of them in a row."""
    count, *inside = call.shape(0)
    known = [side if isinstance(side, int) else meta(side) for side in sizes]
    return len(inside) > 1 and known in ([count, -1], [count, math.prod(inside)])


@operation("Flatten")
def _flatten(call: OnnxCall) -> Value:
    axis = call.attribute("axis", 1)
    return call.emit(torch.flatten, call.tensor(0), axis) if axis == 1 else call.refuse(f"has axis {axis}, and not 1")


@operation("Transpose")
def _transpose(call: OnnxCall) -> Value:
    order = call.attribute("perm", list(reversed(range(len(call.shape(0))))))
    return call.emit(torch.permute, call.tensor(0), tuple(order))


@operation("Concat")
def _concat(call: OnnxCall) -> Value:
    return call.emit(torch.cat, [call.tensor(i) for i in range(len(call.values))], call.attribute("axis", 0))


def _axes(call: OnnxCall) -> list[int] | None:
    if call.has(1):
        return call.whole(1)
    return call.attribute("axes")


@operation("Squeeze")
def _squeeze(call: OnnxCall) -> Value:
    axes = _axes(call)
    if axes is None:
        axes = [place for place, side in enumerate(call.shape(0)) if side == 1]
    return call.emit(torch.squeeze, call.tensor(0), tuple(axes)) if axes else call.value(0)


@operation("Unsqueeze")
def _unsqueeze(call: OnnxCall) -> Value:
    found, axes = call.tensor(0), _axes(call) or []
    rank = len(call.shape(0)) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        found = call.emit(torch.unsqueeze, found, axis)
    return found


@operation("Slice")
def _slice(call: OnnxCall) -> Value:
    rank = len(call.shape(0))
    if call.opset < 10:
        starts, ends = list(call.attribute("starts", ())), list(call.attribute("ends", ()))
        axes, steps = list(call.attribute("axes", range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = call.sizes(1), call.sizes(2)
        axes = call.whole(3) if call.has(3) else list(range(len(starts)))
        steps = call.whole(4) if call.has(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or min(steps, default=1) < 1:
        call.refuse("has lists of unequal length, or goes backwards")
    found: list[Any] = [slice(None)] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if isinstance(end, int) and end >= _OPEN_END else end
        found[axis % rank] = slice(start or None, stop, None if step == 1 else step)
    while found and found[-1] == slice(None):
        found.pop()
    return call.emit(operator.getitem, call.tensor(0), tuple(found)) if found else call.value(0)


@operation("Gather")
def _gather(call: OnnxCall) -> Value:
    index = call.builder.as_sizes(call.value(1))
    rank, axis = len(call.shape(0)), call.attribute("axis", 0)
    if index is None or not all(isinstance(each, int) for each in index.values) or len(index.values) > MOST_INDICES:
        call.refuse("looks values up by others, which is not followed")
    if index.scalar:
        return call.emit(torch.select, call.tensor(0), axis % rank, index.values[0])
    places = (*[slice(None)] * (axis % rank), list(index.values))
    return call.emit(operator.getitem, call.tensor(0), places)


@operation("Split")
def _split(call: OnnxCall) -> list[Value]:
    count, axis = len(call.node.outputs), call.attribute("axis", 0)
    sizes = call.whole(1) if call.has(1) else call.attribute("split")
    if not sizes:
        side = call.shape(0)[axis]
        each = -(-side // count)
        sizes = [min(each, side - each * place) for place in range(count)]
    parts = call.emit(torch.split, call.tensor(0), list(sizes), axis)
    return [item(call, parts, place) for place in range(len(sizes))]


@operation("Expand")
def _expand(call: OnnxCall) -> Value:
    value, sizes = call.value(0), call.sizes(1)
    shape = value.shape if isinstance(value, StoredTensor) else call.shape(0)
    if all(each == 1 for each in sizes) and len(sizes) <= len(shape):
        return value
    wanted = [1] * (len(shape) - len(sizes)) + sizes
    own = [1] * (len(wanted) - len(shape)) + list(shape)
    return call.emit(
        torch.broadcast_to, call.tensor(0), tuple(b if a == 1 else a for a, b in zip(wanted, own, strict=True))
    )


@operation("Range")
def _range(call: OnnxCall) -> Value:
    bounds = [call.sizes(place) for place in range(3)]
    if any(len(each) != 1 for each in bounds):
        call.refuse("has a bound that is not one number")
    return _not_too_large(call, call.emit(torch.arange, *(number for (number,) in bounds)))


@operation("ScatterND")
def _scatter(call: OnnxCall) -> Value:
    """What is written over a whole tensor, image by image, as exporters put a sum in place: the values themselves."""
    is_whole = _is_every_image(call.value(1), call.tensor(0)) and call.shape(2) == call.shape(0)
    if not is_whole or call.attribute("reduction", "none") != "none":
        call.refuse("writes values at places that are computed, which is not followed")
    return call.value(2)


def _is_every_image(places: Value, target: fx.Node) -> bool:
    """Whether places are 0, 1, … up to the number of images of a tensor, each a row of its own."""
    if not isinstance(places, fx.Node) or places.target is not torch.unsqueeze:
        return False
    numbers = places.args[0]
    if not isinstance(numbers, fx.Node) or numbers.target is not torch.arange:
        return False
    start, end, step = numbers.args
    is_count = isinstance(end, fx.Node) and end.target == "size" and end.args == (target, 0)
    return (start, step) == (0, 1) and is_count


@operation("Tile")
def _tile(call: OnnxCall) -> Value:
    return call.emit(torch.tile, call.tensor(0), tuple(call.sizes(1)))


@operation("ConstantOfShape")
def _constant_of_shape(call: OnnxCall) -> Value:
    stored = call.attribute("value")
    value = stored.load().reshape(()).item() if isinstance(stored, StoredTensor) and stored.is_single else 0.0
    dtype = stored.dtype if isinstance(stored, StoredTensor) else torch.float32
    return _not_too_large(call, call.emit(torch.full, tuple(call.sizes(0)), value, dtype=dtype))


def _not_too_large(call: OnnxCall, made: fx.Node) -> fx.Node:
    if (count := meta(made).numel()) > MOST_MADE:
        call.refuse(f"makes a tensor of {count:,} values out of sizes; at most {MOST_MADE:,} are made")
    return made
