"""Occlusion sensitivity (Zeiler and Fergus 2014, §4.2 and figure 7): a square slid over the image, one run at each.

What is stored is the probability of the target with the square in place: low means that the square hides what matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.occluder import Extent, Fill, fill_values, given_fill, one_image, paint, square_boxes
from explorer.analysis.outputs import Ends, Output, Reading, checked, read
from explorer.errors import Cancelled, UserError
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import Arrangement, arrangement
from explorer.run.execute import first_tensor, run
from explorer.types import Box

Method = Literal["auto", "full"]
OnProgress = Callable[[int, int, float], object]  # positions done, positions in all, seconds left
Cancel = Callable[[], bool]

BATCH_IMAGES = 32  # more are hardly faster, and the map fills in in larger jumps
BATCH_BYTES = 256 * 2**20
# A layer is never interrupted: on the CPU one batch of it stays under about half a second at 10 GMAC/s.
BATCH_MACS = {"cpu": 5 * 10**9}


@dataclass(frozen=True)
class OcclusionSettings:
    """How the square looks and moves, and what is recorded beside the probability.

    window, stride: pixels, or (height, width). fill: see `fill_values`; fill_value, [C], [1, C, 1, 1] or as large as
    the image, overrides it. layer: an id, or the path of a module; also record the sum of its strongest map. method:
    "auto" takes the fastest that there is, "full" runs the whole network at each position. batch_size: positions run
    at a time, by default as many as keep within memory and within half a second a layer. output: how the network's
    values become probabilities, "softmax", "sigmoid", "probabilities" (they are that) or "logits" (taken as they are);
    by default found out.
    """

    window: Extent = 32
    stride: Extent = 16
    fill: Fill = "gray"
    layer: str | None = None
    method: Method = "auto"
    fill_value: Tensor | None = None
    batch_size: int | None = None
    output: Output | None = None

    def __post_init__(self) -> None:
        checked(self.output)
        if self.method not in get_args(Method):
            raise UserError(f"method={self.method!r} is not one of {', '.join(get_args(Method))}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size} is not at least 1.")

    def filling(self, image: Tensor) -> Tensor:
        """What the squares over an image [1, C, H, W] are filled with, [1, C, H or 1, W or 1]. Raises UserError."""
        return fill_values(image, self.fill) if self.fill_value is None else given_fill(image, self.fill_value)


@dataclass(frozen=True, eq=False)
class OcclusionMap:
    """One value per position of the square, as arrays [rows, columns]; NaN until `done` there.

    probability: of class `target`; top_class, top_probability: the most probable class (-1 until done,
    or where the output is not finite); activation: sum of map `channel` of the layer, None without a layer.
    boxes: [rows, columns, 4], the square as (top, left, bottom, right) in input pixels, bottom and right exclusive.
    baseline, baseline_class, baseline_activation: the same without a square.
    output: how probabilities were made: "softmax" or "sigmoid" of the network's values, "probabilities" where the
    network ends in such; "logits" where `probability` holds its values as they are. tensor: which of the network's
    outputs, as "logits" or "[1]", "" where it has one. precision: that in which the network computed them.
    """

    probability: np.ndarray
    top_class: np.ndarray
    top_probability: np.ndarray
    activation: np.ndarray | None
    done: np.ndarray
    boxes: np.ndarray
    target: int
    baseline: float
    baseline_class: int
    baseline_activation: float | None = None
    channel: int | None = None
    output: Output = "softmax"
    tensor: str = ""
    precision: str = "float32"

    @property
    def lowest(self) -> tuple[int, int]:
        """(row, column) where the target's probability falls lowest, among the positions that are done and finite."""
        row, column = divmod(
            int(np.where(np.isnan(self.probability), np.inf, self.probability).argmin()), self.shape[1]
        )
        return row, column

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        rows, columns = self.probability.shape
        return rows, columns

    @property
    def is_finite(self) -> bool:
        """Whether every position that is done has a finite probability."""
        return bool(np.isfinite(self.probability[self.done]).all())

    def box(self, row: int, column: int) -> Box:
        """The square at one position: (top, left, bottom, right)."""
        top, left, bottom, right = self.boxes[row, column].tolist()
        return top, left, bottom, right


def occlusion_map(
    program: TracedProgram,
    image: Tensor,
    target: int | None = None,
    settings: OcclusionSettings | None = None,
    *,
    progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> OcclusionMap:
    """The occlusion map of one image [C, H, W] or [1, C, H, W] of the network's normalised values.

    target: a class index, the most probable one by default. settings: a square of 32 px with a stride of 16 by
    default. progress(done, total, seconds left) is called after every batch; cancel is asked before every layer.
    Raises UserError (a setting that makes no sense or a layer without maps, named), UnknownNameError (a layer),
    Cancelled.
    """
    started = time.perf_counter()
    steps = occlusion_steps(program, image, target, settings, cancel=cancel)
    found = next(steps)
    for found in steps:
        done, total = int(found.done.sum()), found.done.size
        if progress is not None:
            progress(done, total, (time.perf_counter() - started) / done * (total - done))
    return found


def occlusion_steps(
    program: TracedProgram,
    image: Tensor,
    target: int | None = None,
    settings: OcclusionSettings | None = None,
    *,
    cancel: Cancel | None = None,
) -> Iterator[OcclusionMap]:
    """The map as it fills in: the empty one first, then again after every batch (the same arrays, updated).

    Every 2^k-th position is visited first, then those between. Arguments and errors as in `occlusion_map`.
    """
    image, settings = one_image(image).detach(), settings or OcclusionSettings()
    boxes = square_boxes((image.shape[2], image.shape[3]), settings.window, settings.stride)
    watched = None if settings.layer is None else _watched(program.graph, settings.layer)
    passes = _Passes(program, image, watched, cancel)
    filling = settings.filling(image)
    reading, found = passes.clean(target, boxes, settings.output)
    return passes.filled_in(found, reading, filling, settings.batch_size or _batch_size(program.graph, image))


# -- Running ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Passes:
    """The forward passes of one map: the network, the image [1, C, H, W], the layer that is summed, if any."""

    program: TracedProgram
    image: Tensor
    watched: _Watched | None
    cancel: Cancel | None

    def clean(self, target: int | None, boxes: np.ndarray, asked: Output | None) -> tuple[Reading, OcclusionMap]:
        """How the output is read, and the map with nothing done yet but the figures without a square."""
        with Ends() as ends:
            returned, sums = self._forward(self.image)
        reading = read(returned, 1, ends, asked)
        probabilities = reading.values(returned, 1)
        classes = probabilities.shape[1]
        if not probabilities.isfinite().all():
            raise UserError("The network's output for this image is not finite: there is nothing to compare with.")
        best = int(probabilities[0].argmax())
        if target is not None and not 0 <= target < classes:
            raise UserError(f"target={target} is not a class: they go from 0 to {classes - 1}.")
        chosen = best if target is None else target
        totals = None if sums is None else sums[0].nan_to_num(nan=-torch.inf, posinf=-torch.inf)
        channel = None if totals is None else int(totals.argmax())
        empty = np.full(boxes.shape[:2], np.nan)
        return reading, OcclusionMap(
            probability=empty.copy(), top_class=np.full(boxes.shape[:2], -1), top_probability=empty.copy(),
            activation=None if totals is None else empty.copy(), done=np.zeros(boxes.shape[:2], bool), boxes=boxes,
            target=chosen, baseline=float(probabilities[0, chosen]), baseline_class=best, channel=channel,
            baseline_activation=None if totals is None or channel is None else float(totals[channel]),
            output=reading.output, tensor=reading.tensor, precision=reading.precision,
        )  # fmt: skip

    def filled_in(
        self, found: OcclusionMap, reading: Reading, filling: Tensor, batch_size: int
    ) -> Iterator[OcclusionMap]:
        """The map, then again after every batch of positions. Raises Cancelled."""
        yield found
        visits = _coarse_first(found.shape)
        for first in range(0, len(visits), batch_size):
            if self.cancel is not None and self.cancel():
                raise Cancelled
            batch = visits[first : first + batch_size]
            images = self.image.repeat(len(batch), 1, 1, 1)
            for picture, position in zip(images, batch, strict=True):
                paint(picture, filling, found.box(*position))
            returned, sums = self._forward(images)
            _store(found, batch, reading.values(returned, len(images)), sums)
            yield found

    def _forward(self, images: Tensor) -> tuple[Any, Tensor | None]:
        """What the network returns, and the total activation of each map of the layer [N, C]."""
        images, watched = images.contiguous(memory_format=_layout(self.program.graph, images)), self.watched
        result = run(self.program, images, capture=[watched.layer] if watched else [], cancel=self.cancel)
        return result.output, watched.sums(first_tensor(result.captured[watched.layer])) if watched else None


def _layout(graph: LayerGraph, images: Tensor) -> torch.memory_format:
    """Channels last on the CPU, where convolutions then take up to half the time; not for networks that look at memory
    as it lies (`view` refuses another layout), or may."""
    as_it_lies = any(layer.kind == "unknown" or layer.op in _VIEWS for layer in graph)
    return torch.contiguous_format if as_it_lies or images.device.type != "cpu" else torch.channels_last


_VIEWS = frozenset(("view", "view_as", "_unsafe_view", "as_strided"))


@dataclass(frozen=True, slots=True)
class _Watched:
    """A layer whose maps are summed, and how its output is laid out."""

    layer: str
    arrangement: Arrangement

    def sums(self, output: Tensor) -> Tensor:
        """The total activation of each map, [N, C]."""
        return self.arrangement.maps(output).float().sum((2, 3)).cpu()


def _watched(graph: LayerGraph, layer: str) -> _Watched:
    name = find_layer(graph, layer).id
    return _Watched(name, arrangement(graph, name))


def _store(found: OcclusionMap, batch: list[tuple[int, int]], probabilities: Tensor, sums: Tensor | None) -> None:
    rows, columns = np.array(batch).T
    best = probabilities.max(1)
    found.probability[rows, columns] = probabilities[:, found.target].numpy()
    found.top_probability[rows, columns] = best.values.numpy()
    found.top_class[rows, columns] = best.indices.where(best.values.isfinite(), -1).numpy()
    if found.activation is not None and sums is not None:
        found.activation[rows, columns] = sums[:, found.channel].numpy()
    found.done[rows, columns] = True


def _coarse_first(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """All positions, first those on the grid of the largest power of two, then those on the halves of it."""

    def spacing(at: tuple[int, int]) -> int:
        bits = at[0] | at[1] | 1 << 30  # the lowest bit that is set: the coarsest grid on which both lie
        return bits & -bits

    return sorted(((row, column) for row in range(shape[0]) for column in range(shape[1])), key=spacing, reverse=True)


def _batch_size(graph: LayerGraph, image: Tensor) -> int:
    """As many images, from 1 to BATCH_IMAGES, as keep within BATCH_BYTES and BATCH_MACS."""
    bytes_needed = max(sum(prod(s) for s in (*layer.input_shapes, *layer.outputs)) for layer in graph)
    bytes_needed *= image.element_size()
    by_macs = BATCH_MACS.get(image.device.type, 10**12) // max(1, max(_macs(layer) for layer in graph))
    return max(1, min(BATCH_IMAGES, BATCH_BYTES // bytes_needed, by_macs))


def _macs(layer: Layer) -> int:
    return prod(layer.output_shape) * int(layer.attributes.get("fan_in", 0))
