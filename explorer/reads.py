"""Which positions of its input each output position of a layer reads, per axis: the geometry behind every field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd
from typing import Any

from explorer.graph import Layer, Window


@dataclass(frozen=True, slots=True)
class Reads:
    """Output `q·period + r` reads the input positions `q·advance + o` for each o in `offsets[r]`.

    A convolution has period 1 and advances by its stride; what magnifies (a transposed convolution, an interpolation)
    has as many phases as it takes to come back to the same pattern. Positions beyond the input are padding.
    """

    period: int
    advance: int
    offsets: tuple[tuple[int, ...], ...]


POINTWISE = Reads(1, 1, ((0,),))


def everything(size: int) -> Reads:
    """Each output reads the whole axis; its ends stand for all of it."""
    return Reads(1, 0, ((0, size - 1),))


def windowed(window: Window, axis: int) -> Reads:
    """Output o reads o·stride − padding + k·dilation."""
    start, dilation = -window.padding[axis], window.dilation[axis]
    offsets = tuple(start + k * dilation for k in range(window.kernel[axis]))
    return Reads(1, window.stride[axis], (offsets,))


def transposed(window: Window, axis: int) -> Reads:
    """Input i writes the outputs i·stride − padding + k·dilation: so o reads (o + padding − k·dilation) / stride."""
    stride, padding, dilation = window.stride[axis], window.padding[axis], window.dilation[axis]
    phases = []
    for r in range(stride):
        sources = (r + padding - k * dilation for k in range(window.kernel[axis]))
        phases.append(tuple(sorted(s // stride for s in sources if s % stride == 0)))
    return Reads(stride, 1, tuple(phases))


def adaptive(size_in: int, size_out: int) -> Reads:
    """Output o averages floor(o·in/out) … ceil((o+1)·in/out) − 1; equal sizes make it a 1×1 window."""
    shared = gcd(size_in, size_out)
    period, advance = size_out // shared, size_in // shared
    if size_out == 1 and size_in > 1:
        return everything(size_in)
    return Reads(
        period,
        advance,
        tuple(tuple(range(r * advance // period, -(-(r + 1) * advance // period))) for r in range(period)),
    )


def interpolated(size_in: int, size_out: int, mode: str, align_corners: bool) -> Reads:
    """What torch's interpolate reads: the nearest position, or the 2 (linear) or 4 (cubic) around the source."""
    a, b = (size_in - 1, size_out - 1) if align_corners and size_out > 1 else (size_in, size_out)
    shared = gcd(a, b)
    period, advance = b // shared, a // shared
    scale = Fraction(a, b)
    return Reads(period, advance, tuple(_taps(Fraction(r), scale, mode, align_corners) for r in range(period)))


def _taps(output: Fraction, scale: Fraction, mode: str, align_corners: bool) -> tuple[int, ...]:
    if mode == "nearest":
        return (floor(output * scale),)
    if mode == "nearest-exact":
        return (floor((output + Fraction(1, 2)) * scale),)
    source = output * scale if align_corners else (output + Fraction(1, 2)) * scale - Fraction(1, 2)
    first, last = floor(source), ceil(source)
    if mode == "bicubic" and first != last:
        return tuple(range(first - 1, last + 2))
    return (first,) if first == last else (first, last)


def table(sources: list[int], size_in: int) -> Reads:
    """One source position for each output, listed."""
    return Reads(len(sources), size_in, tuple((s,) for s in sources))


def of_layer(layer: Layer, axis: int, size_in: int, size_out: int) -> Reads | None:
    """How a layer with a window, or one that moves or resizes maps, reads along an axis (0 rows, 1 columns).

    None for a layer that is none of these.
    """
    attributes: Mapping[str, Any] = layer.attributes
    match layer.kind:
        case "conv" | "max_pool" | "avg_pool" | "lp_pool" if layer.window:
            return windowed(layer.window, axis)
        case "conv_transpose" if layer.window:
            return transposed(layer.window, axis)
        case "adaptive_avg_pool" | "adaptive_max_pool":
            return adaptive(size_in, size_out)
        case "interpolate":
            mode = str(attributes.get("mode") or "nearest")
            return interpolated(size_in, size_out, mode, bool(attributes.get("align_corners")))
        case "pixel_shuffle":
            factor = int(attributes["upscale_factor"])
            return Reads(factor, 1, ((0,),) * factor)
        case "pixel_unshuffle":
            factor = int(attributes["downscale_factor"])
            return Reads(1, factor, (tuple(range(factor)),))
        case "pad":
            return _padded(attributes["pad"], axis)
    return None


def _padded(pad: tuple[int, ...], axis: int) -> Reads:
    """F.pad lists (before, after) from the last dimension backwards."""
    at = 2 * (1 - axis)
    return Reads(1, 1, ((-pad[at] if at < len(pad) else 0,),))
