"""Which positions of its input each output position of a layer reads, per axis: the geometry behind every field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd
from typing import Any

from explorer.graph.layers import Layer, Window
from explorer.types import is_sequence


@dataclass(frozen=True, slots=True)
class Taps:
    """Output `q·period + r` reads the input positions `q·advance + o` for each o in `offsets[r]`.

    A convolution has period 1 and advances by its stride; what magnifies (a transposed convolution, an interpolation)
    has as many phases as it takes to come back to the same pattern. Positions beyond the input are padding:
    with a border other than "zeros" they repeat positions of the input, as torch's padding modes of that name do.
    """

    period: int
    advance: int
    offsets: tuple[tuple[int, ...], ...]
    border: str = "zeros"


HALF = Fraction(1, 2)
ONE_TO_ONE = Taps(1, 1, ((0,),))


def everything(size: int) -> Taps:
    """Each output reads the whole axis."""
    return Taps(1, 0, (tuple(range(size)),))


def windowed(window: Window, axis: int, border: str = "zeros") -> Taps:
    """Output o reads o·stride − padding + k·dilation."""
    start, dilation = -window.padding[axis], window.dilation[axis]
    offsets = tuple(start + k * dilation for k in range(window.kernel[axis]))
    return Taps(1, window.stride[axis], (offsets,), border)


def transposed(window: Window, axis: int) -> Taps:
    """Input i writes the outputs i·stride − padding + k·dilation: so o reads (o + padding − k·dilation) / stride."""
    stride, padding, dilation = window.stride[axis], window.padding[axis], window.dilation[axis]
    phases: list[tuple[int, ...]] = []
    for r in range(stride):
        sources = (r + padding - k * dilation for k in range(window.kernel[axis]))
        phases.append(tuple(sorted(s // stride for s in sources if s % stride == 0)))
    return Taps(stride, 1, tuple(phases))


def adaptive(size_in: int, size_out: int) -> Taps:
    """Output o averages floor(o·in/out) … ceil((o+1)·in/out) − 1; equal sizes make it a 1×1 window."""
    shared = gcd(size_in, size_out)
    period, advance = size_out // shared, size_in // shared
    if size_out == 1 and size_in > 1:
        return everything(size_in)
    return Taps(
        period,
        advance,
        tuple(tuple(range(r * advance // period, -(-(r + 1) * advance // period))) for r in range(period)),
    )


def interpolated(scale: Fraction, taps: Callable[[int, Fraction], tuple[int, ...]]) -> Taps:
    """What torch's interpolate reads, `scale` input positions to one output position."""
    period, advance = scale.denominator, scale.numerator
    return Taps(period, advance, tuple(taps(r, scale) for r in range(period)))


def _nearest(output: int, scale: Fraction) -> tuple[int, ...]:
    return (floor(output * scale),)


def _nearest_exact(output: int, scale: Fraction) -> tuple[int, ...]:
    return (floor((output + HALF) * scale),)


def _linear_corners(output: int, scale: Fraction) -> tuple[int, ...]:
    return tuple({floor(output * scale), ceil(output * scale)})


def _cubic_corners(output: int, scale: Fraction) -> tuple[int, ...]:
    return _cubic_around(output * scale)


def _linear(output: int, scale: Fraction) -> tuple[int, ...]:
    source = (output + HALF) * scale - HALF
    return tuple({floor(source), ceil(source)})


def _cubic(output: int, scale: Fraction) -> tuple[int, ...]:
    return _cubic_around((output + HALF) * scale - HALF)


def _cubic_around(source: Fraction) -> tuple[int, ...]:
    first = floor(source)
    return (first,) if first == source else tuple(range(first - 1, first + 3))


def _antialiased(reach: int) -> Callable[[int, Fraction], tuple[int, ...]]:
    """A filter of `reach` (linear 1, cubic 2) that is stretched where it shrinks the map."""

    def taps(output: int, scale: Fraction) -> tuple[int, ...]:
        centre, support = (output + HALF) * scale - HALF, reach * max(scale, Fraction(1))
        return tuple(range(floor(centre - support) + 1, ceil(centre + support)))

    return taps


_TAPS = {
    ("nearest", False): _nearest,
    ("nearest-exact", False): _nearest_exact,
    ("bilinear", False): _linear,
    ("bilinear", True): _linear_corners,
    ("bicubic", False): _cubic,
    ("bicubic", True): _cubic_corners,
}


def _interpolated(attributes: Mapping[str, Any], axis: int, size_in: int, size_out: int) -> Taps:
    """F.interpolate; by a scale factor it keeps the factor, where the size of the output is rounded."""
    mode, corners = str(attributes.get("mode") or "nearest"), bool(attributes.get("align_corners"))
    if mode == "area":
        return adaptive(size_in, size_out)
    factors = attributes.get("scale_factor")
    scale = Fraction(size_in, size_out)
    if corners:
        scale = Fraction(size_in - 1, max(size_out - 1, 1))
    elif factors and not attributes.get("recompute_scale_factor"):
        each = factors if is_sequence(factors) else (factors,)
        scale = 1 / Fraction(each[min(axis, len(each) - 1)]).limit_denominator(1000)
    if attributes.get("antialias"):
        return interpolated(scale, _antialiased(2 if mode == "bicubic" else 1))
    return interpolated(scale, _TAPS[mode, corners])


def of_layer(layer: Layer, axis: int, size_in: int, size_out: int) -> Taps | None:
    """How a layer with a window, or one that moves or resizes maps, reads along an axis (0 rows, 1 columns).

    None for a layer that is none of these.
    """
    attributes: Mapping[str, Any] = layer.attributes
    match layer.kind:
        case "conv" | "max_pool" | "avg_pool" | "lp_pool" | "own_window" if layer.window:
            return windowed(layer.window, axis, attributes.get("padding_mode", "zeros"))
        case "conv_transpose" | "unpool" if layer.window:
            return transposed(layer.window, axis)
        case "adaptive_avg_pool" | "adaptive_max_pool":
            return adaptive(size_in, size_out)
        case "interpolate":
            return _interpolated(attributes, axis, size_in, size_out)
        case "pixel_shuffle":
            factor = int(attributes["upscale_factor"])
            return Taps(factor, 1, ((0,),) * factor)
        case "pixel_unshuffle":
            factor = int(attributes["downscale_factor"])
            return Taps(1, factor, (tuple(range(factor)),))
        case "pad":
            return _padded(attributes["pad"], axis, attributes.get("mode", "constant"))
        case _:
            return None


def of_dimension(layer: Layer, axis: int, size_in: int, size_out: int) -> Taps:
    """How a layer with a window along one dimension, or three, reads along one of them."""
    if "kernel_size" not in layer.attributes:
        return adaptive(size_in, size_out)
    names = ("kernel_size", "stride", "padding", "dilation")
    kernel, stride, padding, dilation = (_along(layer, name, axis) for name in names)
    stride = stride or (kernel if kernel and layer.kind.startswith("pool") else 1)
    if layer.kind.startswith("conv_transpose"):
        return transposed(Window(*((value, value) for value in (kernel or 1, stride, dilation or 1, padding or 0))), 0)
    offsets = tuple(k * (dilation or 1) - (padding or 0) for k in range(kernel or 1))
    return Taps(1, stride, (offsets,), layer.attributes.get("padding_mode", "zeros"))


def _along(layer: Layer, name: str, axis: int) -> int | None:
    if layer.attributes.get(name) == "same":
        span = (_along(layer, "dilation", axis) or 1) * ((_along(layer, "kernel_size", axis) or 1) - 1)
        return span // 2
    if isinstance(layer.attributes.get(name), str):  # "valid"
        return 0
    values = layer.numbers(name)
    return values[min(axis, len(values) - 1)] if values else None


def _padded(pad: tuple[int, ...], axis: int, mode: str) -> Taps:
    """F.pad lists (before, after) from the last dimension backwards."""
    at = 2 * (1 - axis)
    return Taps(1, 1, ((-pad[at] if at < len(pad) else 0,),), "zeros" if mode == "constant" else mode)
