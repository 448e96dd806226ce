"""Layers whose receptive field has outgrown the image, and what would mend it: a larger image, or a stride less.

Richter, Byttner, Krumnack, Wiedenroth, Schallner, Shenk, "(Input) Size Matters for CNN Classifiers" (ICANN 2021), and
Richter, Shenk, Byttner, Arpteg, Huss, "Should You Go Deeper? Optimizing Convolutional Neural Network Architectures
without Training" (ICMLA 2021): behind the border layer, whose input sees the whole image already, convolutions find no
new context, and add next to nothing to the accuracy. Where paths branch, that of the smallest field counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor

from explorer.analysis.structure import Analysis, LayerReport
from explorer.graph.layers import Window

_Sides = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Downsampling:
    """A step at which maps get smaller: the layers that do it side by side, and how many times (height, width)."""

    layers: tuple[str, ...]
    factors: tuple[int, int]
    before: _Sides  # input pixels from one position to the next, before it


@dataclass(frozen=True)
class OutgrownImage:
    """What of a network is too large for its image (height, width), in order.

    exceeding: layers whose (local) field is larger than the image along an axis; pools that adapt to the image, and
    what reads them, are left out. unproductive: convolutions whose input sees the whole image by every path.
    fits_from_px, productive_from_px: sides of the least square image at which there are none of either. strides: the
    steps to be left out so that none is unproductive in this image, as few and as late as possible; empty where there
    are none, or no step would do.
    """

    image_size: tuple[int, int]
    exceeding: tuple[str, ...]
    unproductive: tuple[str, ...]
    fits_from_px: int
    productive_from_px: int
    strides: tuple[Downsampling, ...]


def outgrown_image(analysis: Analysis) -> OutgrownImage:
    """Find the layers that have outgrown the image, and what would mend it, from the windows of the layers."""
    height, width = image = analysis.layers[0].receptive_field.image_size
    reaches = _reaches(analysis, ())
    most = {name: reach.most for name, reach in reaches.items() if analysis[name].is_map and not reach.adapts}
    inputs = _smallest_inputs(analysis, reaches)
    unproductive = _covering(inputs, image)
    return OutgrownImage(
        image,
        exceeding=tuple(name for name, (rows, columns) in most.items() if rows > height or columns > width),
        unproductive=unproductive,
        fits_from_px=max(ceil(max(sides)) for sides in most.values()),
        productive_from_px=1 + max((floor(min(sides)) for sides in inputs.values()), default=0),
        strides=_mending(analysis, reaches) if unproductive else (),
    )  # fmt: skip


def smallest_fields(analysis: Analysis) -> dict[str, tuple[int, int]]:
    """Of each layer with positions the size (height, width) of its field along the path on which that grows least."""
    found = {name: reach.least for name, reach in _reaches(analysis, ()).items()}
    return {name: (floor(rows), floor(columns)) for name, (rows, columns) in found.items()}


def downsamplings(analysis: Analysis) -> tuple[Downsampling, ...]:
    """The steps at which maps get smaller, in order; layers that take the same step on other paths belong together."""
    return _downsamplings(analysis, _reaches(analysis, ()))


def _downsamplings(analysis: Analysis, reaches: _Reaches) -> tuple[Downsampling, ...]:
    found: dict[_Sides, dict[str, tuple[int, int]]] = {}
    for layer in analysis.layers:
        if layer.id in reaches and (stride := _window_of(analysis, layer).stride) != (1, 1):
            found.setdefault(reaches[analysis.graph[layer.id].inputs[0]].stride, {})[layer.id] = stride
    return tuple(
        Downsampling(tuple(layers), (max(h for h, _ in layers.values()), max(w for _, w in layers.values())), before)
        for before, layers in sorted(found.items())
    )


# -- How fields grow ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reach:
    """The field of a layer along the path on which it grows least, and most; pixels between neighbours; whether a pool
    that adapts to the image has a part in it."""

    least: _Sides
    most: _Sides
    stride: _Sides
    adapts: bool = False


_PIXEL = _Reach((Fraction(1), Fraction(1)), (Fraction(1), Fraction(1)), (Fraction(1), Fraction(1)))


_Reaches = dict[str, _Reach]


def _reaches(analysis: Analysis, left_out: Collection[Downsampling]) -> _Reaches:
    """Of all layers with positions; as they would be if some steps had no stride, which narrows all windows behind."""
    kept = {name for step in left_out for name in step.layers}
    found: dict[str, _Reach] = {}
    for layer in analysis.layers:
        sources = [name for name in dict.fromkeys(analysis.graph[layer.id].inputs) if name in found]
        if layer.kind == "input":
            found[layer.id] = _PIXEL
        elif sources and not _is_gate(analysis, layer, sources):
            found[layer.id] = _grown(analysis, layer, sources, found, layer.id in kept)
    return found


def _is_gate(analysis: Analysis, layer: LayerReport, sources: list[str]) -> bool:
    """Whether it reads a whole map, though not by a window that happens to be as large."""
    newly = layer.local_receptive_field.is_global and not any(
        analysis[name].local_receptive_field.is_global for name in sources
    )
    return newly and _window_of(analysis, layer) == _POINT


_POINT = Window((1, 1))


def _window_of(analysis: Analysis, layer: LayerReport) -> Window:
    """Its window; that of one position for what has none, or widens the map."""
    return (analysis.graph[layer.id].window if layer.kind != "conv_transpose" else None) or _POINT


def _grown(
    analysis: Analysis, layer: LayerReport, sources: list[str], found: dict[str, _Reach], keeps_size: bool
) -> _Reach:
    """What its window adds; what else moves or resizes a map, by the fields that are reported of it."""
    before, window = [found[name] for name in sources], _window_of(analysis, layer)
    if len(before) == 1 and window == _POINT and _passes_on(analysis[sources[0]], layer):
        return replace(before[0], adapts=True) if layer.kind.startswith("adaptive") else before[0]
    stride = before[0].stride
    added = _times(stride, [(k - 1) * d for k, d in zip(window.kernel, window.dilation, strict=True)])
    adapts = layer.kind.startswith("adaptive") or any(reach.adapts for reach in before)
    if window == _POINT and len(sources) == 1:
        added, ratio = _reported(analysis[sources[0]], layer)
        added, stride = _times(stride, added), _times(stride, ratio)
    elif not keeps_size:
        stride = _times(stride, window.stride)
    least = _plus(_each(min, [reach.least for reach in before]), added)
    return _Reach(least, _plus(_each(max, [reach.most for reach in before]), added), stride, adapts)


def _passes_on(source: LayerReport, layer: LayerReport) -> bool:
    """Whether it keeps the fields of its source, as most layers do: norms and activations."""
    one, two = source.local_receptive_field, layer.local_receptive_field
    return one.axes == two.axes and one.boxes is two.boxes


def _reported(source: LayerReport, layer: LayerReport) -> tuple[_Sides, _Sides]:
    """How many strides of its source a layer adds to the field, and how many it makes of one, per axis."""
    before, after = source.local_receptive_field, layer.local_receptive_field
    if before.is_global or after.is_global or 0 in before.stride:
        return (Fraction(0), Fraction(0)), (Fraction(1), Fraction(1))
    added = [Fraction(max(0, b - a)) / s for a, b, s in zip(before.size, after.size, before.stride, strict=True)]
    ratio = [b / a for a, b in zip(before.stride, after.stride, strict=True)]
    return (added[0], added[1]), (ratio[0], ratio[1])


def _times(sides: _Sides, factors: Sequence[int | Fraction]) -> _Sides:
    return sides[0] * factors[0], sides[1] * factors[1]


def _plus(sides: _Sides, more: _Sides) -> _Sides:
    return sides[0] + more[0], sides[1] + more[1]


def _each(choose: Callable[[Iterable[Fraction]], Fraction], sides: list[_Sides]) -> _Sides:
    return choose(rows for rows, _ in sides), choose(columns for _, columns in sides)


# -- What comes of it --------------------------------------------------------------------------------------------------


def _smallest_inputs(analysis: Analysis, reaches: _Reaches) -> dict[str, _Sides]:
    """Of each convolution that has positions before it, the least field of its inputs."""
    return {
        layer.id: reaches[analysis.graph[layer.id].inputs[0]].least
        for layer in analysis.layers
        if layer.kind == "conv" and layer.id in reaches
    }


def _covering(inputs: dict[str, _Sides], image: tuple[int, int]) -> tuple[str, ...]:
    return tuple(name for name, (rows, columns) in inputs.items() if rows >= image[0] and columns >= image[1])


def _mending(analysis: Analysis, reaches: _Reaches) -> tuple[Downsampling, ...]:
    """One step, the latest that does; else as many of the first as it takes."""
    steps, image = _downsamplings(analysis, reaches), analysis.layers[0].receptive_field.image_size
    tried = [(step,) for step in reversed(steps)] + [steps[:count] for count in range(2, len(steps) + 1)]

    def is_enough(some: tuple[Downsampling, ...]) -> bool:
        return not _covering(_smallest_inputs(analysis, _reaches(analysis, some)), image)

    return next(filter(is_enough, tried), ())
