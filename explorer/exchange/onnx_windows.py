"""Operations of ONNX that slide a window: convolutions and pools; and those that change the size of a map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import fx
from torch.nn import functional as F

from explorer.exchange.onnx_call import OnnxCall, Value, meta, operation
from explorer.exchange.stored import StoredTensor

Sides = tuple[int, ...]


@operation("Conv")
def _conv(call: OnnxCall) -> Value:
    weight = call.tensor(1)
    kernel = tuple(meta(weight).shape[2:])
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}.get(len(kernel))
    if function is None:
        call.refuse(f"has windows of {len(kernel)} dimensions")
    stride, dilation = _each(call, "strides", kernel), _each(call, "dilations", kernel)
    x, padding = _padded(call, kernel, stride, dilation, 0.0)
    return call.emit(function, x, weight, _bias(call), stride, padding, dilation, call.attribute("group", 1))


def _bias(call: OnnxCall) -> fx.Node | None:
    """The bias; none where it is the zeros that exporters write for a convolution without one."""
    value = call.value(2) if call.has(2) else None
    if isinstance(value, StoredTensor) and not value.name.endswith(".bias") and value.is_zero:
        return None
    return call.optional(2)


@operation("ConvTranspose")
def _conv_transpose(call: OnnxCall) -> Value:
    weight = call.tensor(1)
    kernel = tuple(meta(weight).shape[2:])
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}.get(len(kernel))
    before, behind = _pads(call, len(kernel))
    if function is None or call.attribute("output_shape") or call.attribute("auto_pad", "NOTSET") != "NOTSET":
        call.refuse("gives its padding in a way that is not known here")
    stride, dilation = _each(call, "strides", kernel), _each(call, "dilations", kernel)
    more = tuple(call.attribute("output_padding", [0] * len(kernel)))
    more = tuple(each + b - e for each, b, e in zip(more, before, behind, strict=True))  # one side less is one more
    if min(more) < 0:
        call.refuse("has more padding behind than before, which is not known here")
    group = call.attribute("group", 1)
    return call.emit(function, call.tensor(0), weight, _bias(call), stride, before, more, group, dilation)


@operation("MaxPool")
def _max_pool(call: OnnxCall) -> Value:
    kernel = tuple(call.attribute("kernel_shape", ()))
    function = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}.get(len(kernel))
    if function is None:
        call.refuse(f"has windows of {len(kernel)} dimensions")
    stride, dilation = _each(call, "strides", kernel), _each(call, "dilations", kernel)
    x, padding = _padded(call, kernel, stride, dilation, -math.inf)
    return call.emit(function, x, kernel, stride, padding, dilation, bool(call.attribute("ceil_mode", 0)))


@operation("AveragePool")
def _average_pool(call: OnnxCall) -> Value:
    kernel = tuple(call.attribute("kernel_shape", ()))
    function = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}.get(len(kernel))
    dilation = _each(call, "dilations", kernel)
    if function is None or set(dilation) - {1}:
        call.refuse(f"has windows of {len(kernel)} dimensions, or with gaps, which is not known here")
    stride, counts = _each(call, "strides", kernel), bool(call.attribute("count_include_pad", 0))
    x, padding = _padded(call, kernel, stride, dilation, 0.0, uneven=counts)
    return call.emit(function, x, kernel, stride, padding, bool(call.attribute("ceil_mode", 0)), counts)


def _each(call: OnnxCall, name: str, kernel: Sides) -> Sides:
    found = tuple(call.attribute(name, [1] * len(kernel)))
    return found if len(found) == len(kernel) else call.refuse(f"has {len(found)} {name} for {len(kernel)} dimensions")


def _pads(call: OnnxCall, count: int) -> tuple[Sides, Sides]:
    pads = tuple(call.attribute("pads", [0] * (2 * count)))
    if len(pads) != 2 * count or min(pads, default=0) < 0:
        call.refuse(f"has a padding that is none: {pads[:8]}")
    return pads[:count], pads[count:]


def _padded(
    call: OnnxCall, kernel: Sides, stride: Sides, dilation: Sides, value: float, uneven: bool = True
) -> tuple[fx.Node, Sides]:
    """The input and torch's padding of it; where that differs before and behind, the input is padded on its own."""
    before, behind = _pads(call, len(kernel))
    if (how := call.attribute("auto_pad", "NOTSET")) not in ("NOTSET", ""):
        before, behind = _automatic(call, how, kernel, stride, dilation)
    fits = value == 0 or all(2 * b <= k for b, k in zip(before, kernel, strict=True))
    if before == behind and fits:
        return call.tensor(0), before
    if not uneven:
        call.refuse("has another padding before than behind, which is not known here")
    amounts = [each for pair in zip(reversed(before), reversed(behind), strict=True) for each in pair]
    return call.emit(F.pad, call.tensor(0), amounts, "constant", value), (0,) * len(kernel)


def _automatic(call: OnnxCall, how: str, kernel: Sides, stride: Sides, dilation: Sides) -> tuple[Sides, Sides]:
    """The padding that keeps ⌈size / stride⌉ positions; the odd one goes behind (SAME_UPPER) or before."""
    if how == "VALID":
        return (0,) * len(kernel), (0,) * len(kernel)
    if how not in ("SAME_UPPER", "SAME_LOWER"):
        call.refuse("gives its padding in a way that is not known here")
    sides = zip(call.shape(0)[2:], kernel, stride, dilation, strict=True)
    totals = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in sides]
    small, large = tuple(each // 2 for each in totals), tuple(each - each // 2 for each in totals)
    return (small, large) if how == "SAME_UPPER" else (large, small)


# -- the size of a map ------------------------------------------------------------------------------------------------

_BORDERS = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@operation("Pad")
def _pad(call: OnnxCall) -> Value:
    rank = len(call.shape(0))
    pads = list(call.attribute("pads", ())) if call.opset < 11 else call.sizes(1)
    axes = [axis % rank for axis in call.whole(3)] if call.has(3) else list(range(rank))
    if len(pads) != 2 * len(axes):
        call.refuse(f"has {len(pads)} numbers for {len(axes)} dimensions")
    amounts = dict(zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True))
    first = next((axis for axis in range(rank) if amounts.get(axis, (0, 0)) != (0, 0)), None)
    if first is None:
        return call.value(0)
    border = _BORDERS.get(call.attribute("mode", "constant"))
    value = (call.number(2) or 0.0) if call.opset >= 11 else call.attribute("value", 0.0)
    ordered = [each for axis in reversed(range(first, rank)) for each in amounts.get(axis, (0, 0))]
    if border is None:
        call.refuse("fills the border in a way that is not known here")
    return call.emit(F.pad, call.tensor(0), ordered, border, *([value] if border == "constant" else []))


_INTERPOLATIONS = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}


@operation("Resize", "Upsample")
def _resize(call: OnnxCall) -> Value:
    x, rank = call.tensor(0), len(call.shape(0))
    mode = _INTERPOLATIONS.get(call.attribute("mode", "nearest"))
    usual = "asymmetric" if call.node.op == "Upsample" else "half_pixel"
    where = call.attribute("coordinate_transformation_mode", usual)
    rounded = call.attribute("nearest_mode", "round_prefer_floor")
    if rank != 4 or mode is None or call.attribute("exclude_outside", 0) or call.attribute("antialias", 0):
        call.refuse("resizes in a way that is not known here")
    if mode == "nearest":
        usual_one = where == "asymmetric" and (rounded == "floor" or call.node.op == "Upsample")
        mode = (
            "nearest" if usual_one or _is_whole(call) else call.refuse(f"takes the nearest value as {where}, {rounded}")
        )
    elif where not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        call.refuse(f"places pixels as {where}, which is not known here")
    corners = None if mode == "nearest" else where == "align_corners"
    size, scale = _new_size(call)
    return call.emit(F.interpolate, x, size, scale, mode, corners)


def _scales(call: OnnxCall) -> list[float]:
    place = 1 if call.node.op == "Upsample" or call.opset < 11 else 2
    value = call.values[place] if call.has(place) else None
    if not isinstance(value, StoredTensor) or value.values is None:
        return []
    return [float(each) for each in value.values]


def _is_whole(call: OnnxCall) -> bool:
    """Whether each value is repeated a whole number of times: then all ways to choose the nearest are one."""
    scales = _scales(call)
    return bool(scales) and all(each >= 1 and each == int(each) for each in scales)


def _new_size(call: OnnxCall) -> tuple[Sequence[Any] | None, Sequence[float] | None]:
    scales = _scales(call)
    if len(scales) == 4 and scales[:2] == [1, 1]:
        return None, tuple(scales[2:])
    if call.node.op == "Resize" and call.has(3):
        sizes = call.sizes(3)
        return (sizes[-2:], None) if len(sizes) == 4 else call.refuse("resizes along channels")
    return call.refuse("resizes by factors that are computed, or along channels")


@operation("DepthToSpace")
def _depth_to_space(call: OnnxCall) -> Value:
    if call.attribute("mode", "DCR") != "CRD":
        call.refuse("orders its channels DCR, which is not known here")
    return call.emit(F.pixel_shuffle, call.tensor(0), call.attribute("blocksize", 1))
