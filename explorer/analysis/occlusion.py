"""Occlusion sensitivity (Zeiler and Fergus 2014, §4.2 and figure 7): a square slid over the image, one run at each.

What is stored is the probability of the target with the square in place: low means that the square hides what matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.incremental.batches import Position, chunks
from explorer.analysis.occluder import (  # fmt: skip
    Extent,
    Fill,
    default_stride,
    default_window,
    fill_values,
    given_fill,
    one_image,
    square_boxes,
)
from explorer.analysis.occlusion_memory import Batching, planned
from explorer.analysis.outputs import Ends, Output, Reading, checked, read
from explorer.analysis.passes import Cancel, Passes, Runnable, passes_of
from explorer.analysis.sliding import Answer, Method, Slide, Sliding, sums
from explorer.errors import Cancelled, MemoryLimitError, UserError
from explorer.run.device import is_out_of_memory
from explorer.run.plain import PlainNetwork
from explorer.types import Box

OnProgress = Callable[[int, int, float], object]  # positions done, positions in all, seconds left
DEFAULT_WINDOW, DEFAULT_STRIDE = 32, 16


@dataclass(frozen=True)
class OcclusionSettings:
    """How the square looks and moves, and what is recorded beside the probability.

    window, stride: pixels, or (height, width); on an image smaller than the default square, one of three eighths of its
    side. fill: see `fill_values`; fill_value, [C], [1, C, 1, 1] or as large as the image, overrides it. layer: an id,
    or the path of a module; also record the sums of its maps. method: "full" runs the whole network at each
    position, "incremental" only what the square can reach, with the same result; "auto" takes the faster of them.
    batch_size: positions run at a time, by default as many as keep within memory and within half a second a layer;
    memory_bytes: the most that the run may take at once beside the weights and the image, for smaller batches. output:
    how the network's values become probabilities, "softmax", "sigmoid", "probabilities" (they are that) or "logits"
    (taken as they are); by default found out.
    """

    window: Extent = DEFAULT_WINDOW
    stride: Extent = DEFAULT_STRIDE
    fill: Fill = "gray"
    layer: str | None = None
    method: Method = "auto"
    fill_value: Tensor | None = None
    batch_size: int | None = None
    output: Output | None = None
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        checked(self.output)
        if self.method not in get_args(Method):
            raise UserError(f"method={self.method!r} is not one of {', '.join(get_args(Method))}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size} is not at least 1.")
        if self.memory_bytes is not None and self.memory_bytes < 1:
            raise UserError(f"memory_bytes={self.memory_bytes} is not at least 1.")

    def square(self, image_size: tuple[int, int]) -> tuple[Extent, Extent]:
        """Window and stride; where the default ones do not fit an image (height, width), smaller ones that do."""
        if self.window != DEFAULT_WINDOW or min(image_size) >= DEFAULT_WINDOW:
            return self.window, self.stride
        window = default_window(min(image_size))
        return window, default_stride(window) if self.stride == DEFAULT_STRIDE else self.stride

    def filling(self, image: Tensor) -> Tensor:
        """What the squares over an image [1, C, H, W] are filled with, [1, C, H or 1, W or 1]. Raises UserError."""
        return fill_values(image, self.fill) if self.fill_value is None else given_fill(image, self.fill_value)


@dataclass(frozen=True, eq=False)
class OcclusionMap:
    """One value per position of the square, as arrays [rows, columns]; NaN until `done` there.

    probability: of class `target`; top_class, top_probability: the most probable class (-1 until done,
    or where the output is not finite); activation: sum of the layer's map `channel`, the strongest without a square;
    activations: [rows, columns, channels], those of all its maps; None without a layer.
    boxes: [rows, columns, 4], the square as (top, left, bottom, right) in input pixels, bottom and right exclusive.
    baseline, baseline_class, baseline_activation, baseline_activations [channels]: the same without a square.
    output: how probabilities were made: "softmax" or "sigmoid" of the network's values, "probabilities" where the
    network ends in such; "logits" where `probability` holds its values as they are. tensor: which of the network's
    outputs, as "logits" or "[1]", "" where it has one. precision: that in which the network computed them.
    is_traced: False where the network could only be run as it is: it has no graph of layers and no receptive fields.
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
    is_traced: bool = True
    activations: np.ndarray | None = None
    baseline_activations: np.ndarray | None = None

    def activation_of(self, channel: int) -> tuple[np.ndarray, float]:
        """The sum of one map of the layer at each position [rows, columns], and without a square. Raises UserError."""
        if self.activations is None or self.baseline_activations is None:
            raise UserError(f"channel={channel} is asked for, and no layer to which it belongs.")
        if not 0 <= channel < len(self.baseline_activations):
            raise UserError(f"channel={channel} is not a map: they go from 0 to {len(self.baseline_activations) - 1}.")
        return self.activations[..., channel], float(self.baseline_activations[channel])

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
    program: Runnable,
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
    return to_the_end(occlusion_steps(program, image, target, settings, cancel=cancel), progress)


def to_the_end(steps: Iterator[OcclusionMap], progress: OnProgress | None = None) -> OcclusionMap:
    """The last map of `occlusion_steps`; progress: as in `occlusion_map`."""
    found, started = next(steps), time.perf_counter()
    before = int(found.done.sum())
    for found in steps:
        done, total = int(found.done.sum()), found.done.size
        if progress is not None:
            progress(done, total, (time.perf_counter() - started) / (done - before) * (total - done))
    return found


def occlusion_steps(
    program: Runnable,
    image: Tensor,
    target: int | None = None,
    settings: OcclusionSettings | None = None,
    *,
    partial: OcclusionMap | None = None,
    cancel: Cancel | None = None,
) -> Iterator[OcclusionMap]:
    """The map as it fills in: the empty one first, then again after every batch (the same arrays, updated).

    Every 2^k-th position is visited first, then those between. partial: the map of a run that was stopped, of the same
    network, image and settings; it is left as it is, and what is done in it is not run again. Other arguments and
    errors as in `occlusion_map`; UserError where the partial map is of other squares, target or layer.
    """
    image, settings = one_image(image).detach(), settings or OcclusionSettings()
    boxes = square_boxes((image.shape[2], image.shape[3]), *settings.square((image.shape[2], image.shape[3])))
    network = passes_of(program)
    layer = None if settings.layer is None else network.find(settings.layer)
    slide = Slide(image, boxes, settings.filling(image), layer, cancel)
    reading, found = _clean(network, slide, target, settings.output)
    found = replace(found, is_traced=not isinstance(program, PlainNetwork))
    if partial is not None:
        _take_over(found, partial)
    levels = _coarse_first(~found.done)
    if not levels:
        return iter([found])
    batching = Batching(settings.batch_size, settings.memory_bytes)
    way, batches = planned(network, slide, levels, settings.method, batching)
    return _filled_in(found, reading, way, batches, cancel)


# -- Running ----------------------------------------------------------------------------------------------------------


def _clean(network: Passes, slide: Slide, target: int | None, asked: Output | None) -> tuple[Reading, OcclusionMap]:
    """How the output is read, and the map with nothing done yet but the figures without a square."""
    with Ends() as ends:
        ((returned, maps, _),) = network.forward(slide.image, slide.layer, slide.cancel)
    reading = read(returned, 1, ends, asked)
    probabilities = reading.values(returned, 1)
    classes = probabilities.shape[1]
    if not probabilities.isfinite().all():
        raise UserError("The network's output for this image is not finite: there is nothing to compare with.")
    best = int(probabilities[0].argmax())
    if target is not None and not 0 <= target < classes:
        raise UserError(f"target={target} is not a class: they go from 0 to {classes - 1}.")
    chosen = best if target is None else target
    totals = None if maps is None else sums(maps)[0].nan_to_num(nan=-torch.inf, posinf=-torch.inf)
    channel = None if totals is None else int(totals.argmax())
    empty = np.full(slide.squares.shape[:2], np.nan)
    every = None if totals is None else np.full((*empty.shape, len(totals)), np.nan, np.float32)
    return reading, OcclusionMap(
        probability=empty.copy(), top_class=np.full(empty.shape, -1), top_probability=empty.copy(),
        activation=None if totals is None else empty.copy(), done=np.zeros(empty.shape, bool), boxes=slide.squares,
        target=chosen, baseline=float(probabilities[0, chosen]), baseline_class=best, channel=channel,
        baseline_activation=None if totals is None or channel is None else float(totals[channel]),
        output=reading.output, tensor=reading.tensor, precision=reading.precision, activations=every,
        baseline_activations=None if totals is None else totals.numpy(),
    )  # fmt: skip


def _take_over(found: OcclusionMap, partial: OcclusionMap) -> None:
    """Write what another map has done into an empty one. Raises UserError where they are not of one kind."""
    for name in ("target", "channel", "output", "tensor"):
        mine, other = getattr(found, name), getattr(partial, name)
        if mine != other:
            raise UserError(f"the partial map is of {name}={other}, where this run is of {mine}.")
    if not np.array_equal(found.boxes, partial.boxes):
        raise UserError("the partial map is of other squares than this run.")
    done = partial.done.copy()  # first, as a run that is ending may still add to it
    for mine, other in zip(_values(found), _values(partial), strict=True):
        mine[done] = other[done]
    found.done[done] = True


def _values(found: OcclusionMap) -> list[np.ndarray]:
    """The arrays that fill in."""
    every = [found.probability, found.top_class, found.top_probability, found.activation, found.activations]
    return [values for values in every if values is not None]


def _filled_in(
    found: OcclusionMap, reading: Reading, way: Sliding, batches: Sequence[Sequence[Position]], cancel: Cancel | None
) -> Iterator[OcclusionMap]:
    """The map, then again after every batch of positions. Batches are halved where memory does not suffice.

    Raises Cancelled, MemoryLimitError.
    """
    yield found
    waiting = list(reversed(batches))
    while waiting:
        if cancel is not None and cancel():
            raise Cancelled
        try:
            _store(found, waiting[-1], *_evaluated(way.run(waiting[-1]), reading))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            waiting = _halved(waiting, error)
            continue
        waiting.pop()
        yield found


def _halved(waiting: Sequence[Sequence[Position]], error: BaseException) -> list[Sequence[Position]]:
    """The batches that wait, the next one last, none larger than half of the next one."""
    size = len(waiting[-1]) // 2
    if not size:
        raise MemoryLimitError("Memory does not suffice to run this network at a single position.") from error
    return [part for batch in waiting for part in reversed(chunks(batch, size))]


def _evaluated(answers: Iterator[Answer], reading: Reading) -> tuple[Tensor, Tensor | None]:
    """Probabilities [N, classes], and the total activation of each map of the layer [N, C]."""
    read = [(reading.values(returned, count), totals) for returned, totals, count in answers]
    found = [totals for _, totals in read if totals is not None]
    return torch.cat([values for values, _ in read]), torch.cat(found) if found else None


def _store(found: OcclusionMap, batch: Sequence[Position], probabilities: Tensor, sums: Tensor | None) -> None:
    rows, columns = np.array(batch).T
    best = probabilities.max(1)
    found.probability[rows, columns] = probabilities[:, found.target].numpy()
    found.top_probability[rows, columns] = best.values.numpy()
    found.top_class[rows, columns] = best.indices.where(best.values.isfinite(), -1).numpy()
    if found.activation is not None and found.activations is not None and sums is not None:
        found.activation[rows, columns] = sums[:, found.channel].numpy()
        found.activations[rows, columns] = sums.numpy()
    found.done[rows, columns] = True


def _coarse_first(wanted: np.ndarray) -> list[list[Position]]:
    """The positions wanted [rows, columns], first those on the grid of the largest power of two, then those on the
    halves of it, and so on."""

    def spacing(at: Position) -> int:
        bits = at[0] | at[1] | 1 << 30  # the lowest bit that is set: the coarsest grid on which both lie
        return bits & -bits

    every = [(row, column) for row, column in np.argwhere(wanted).tolist()]
    return [list(level) for _, level in groupby(sorted(every, key=spacing, reverse=True), key=spacing)]
