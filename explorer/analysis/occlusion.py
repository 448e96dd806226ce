"""Occlusion sensitivity (Zeiler and Fergus 2014, §4.2 and figure 7): a square slid over the image, one run at each.

What is stored is the probability of the target with the square in place: low means that the square hides what matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.errors import Cancelled, UserError
from explorer.execute import find_layer, first_tensor, run
from explorer.graph import Layer, LayerGraph
from explorer.trace import TracedProgram

Fill = Literal["gray", "mean", "blur"]
Order = Literal["coarse", "rows"]
Method = Literal["auto", "full"]
Size = int | tuple[int, int]
Box = tuple[int, int, int, int]
Progress = Callable[[int, int, float], object]

BATCH_BYTES = 256 * 2**20
# A layer is never interrupted: on the CPU one batch of it stays under about half a second at 10 GMAC/s.
BATCH_MACS = {"cpu": 5 * 10**9}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class OcclusionMap:
    """One value per position of the square, as arrays [rows, columns]; NaN until `done` there.

    probability: of class `target`, after softmax; top_class, top_probability: the most probable class (-1 until done,
    or where the output is not finite); activation: sum of map `channel` of the layer, None without a layer.
    boxes: [rows, columns, 4], the square as (top, left, bottom, right) in input pixels, bottom and right exclusive.
    baseline, baseline_class, baseline_activation: the same without a square.
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
    window: Size = 32,
    stride: Size = 16,
    fill: Fill = "gray",
    layer: str | None = None,
    *,
    method: Method = "auto",
    fill_value: Tensor | None = None,
    batch_size: int | None = None,
    order: Order = "coarse",
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> OcclusionMap:
    """The occlusion map of one image [C, H, W] or [1, C, H, W] of the network's normalised values.

    target: a class index, the most probable one by default. window, stride: pixels, or (height, width). fill: see
    `fill_values`; fill_value overrides it. layer: also record the sum of its strongest map. progress(done, total,
    seconds left) is called after every batch; cancel is asked before every layer. Raises UserError (a setting that
    makes no sense, named), UnknownNameError (a layer), Cancelled.
    """
    started = time.perf_counter()
    steps = occlusion_steps(
        program, image, target, window, stride, fill, layer, method=method, fill_value=fill_value,
        batch_size=batch_size, order=order, cancel=cancel,
    )  # fmt: skip
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
    window: Size = 32,
    stride: Size = 16,
    fill: Fill = "gray",
    layer: str | None = None,
    *,
    method: Method = "auto",
    fill_value: Tensor | None = None,
    batch_size: int | None = None,
    order: Order = "coarse",
    cancel: Callable[[], bool] | None = None,
) -> Iterator[OcclusionMap]:
    """The map as it fills in: the empty one first, then again after every batch (the same arrays, updated).

    order: "coarse" visits every 2^k-th position first, then those between, "rows" goes row by row; all are visited.
    Arguments and errors as in `occlusion_map`.
    """
    image = _one_image(image)
    for name, value, choices in (("method", method, Method), ("order", order, Order)):
        if value not in get_args(choices):
            raise UserError(f"{name}={value!r} is not one of {', '.join(get_args(choices))}.")
    boxes = square_boxes((image.shape[2], image.shape[3]), window, stride)
    if layer is not None:
        find_layer(program.graph, layer)
    if batch_size is not None and batch_size < 1:
        raise UserError(f"batch_size={batch_size} is not at least 1.")
    filling = fill_values(image, fill) if fill_value is None else _filling(image, fill_value)
    batch = batch_size or _batch_size(program.graph, image)
    found = _clean(program, image, target, layer, boxes, cancel)
    return _filled_in(program, image, filling, found, layer, _visits(found.shape, order), batch, cancel)


def square_boxes(image_size: tuple[int, int], window: Size, stride: Size) -> np.ndarray:
    """The squares [rows, columns, 4] as (top, left, bottom, right).

    They start at 0 and step by the stride; a last one, flush with the border, is added where they would leave a
    rest of the image uncovered. A stride above the window leaves gaps. Raises UserError.
    """
    (height, width), (down, across) = _pair("window", window), _pair("stride", stride)
    if height > image_size[0] or width > image_size[1]:
        size = f"{image_size[0]}x{image_size[1]}"
        raise UserError(f"window={height}x{width} is larger than the image of {size} pixels.")
    tops, lefts = _starts(image_size[0], height, down), _starts(image_size[1], width, across)
    top, left = np.meshgrid(tops, lefts, indexing="ij")
    return np.stack([top, left, top + height, left + width], axis=-1)


def fill_values(image: Tensor, fill: Fill, mean: Tensor | None = None, std: Tensor | None = None) -> Tensor:
    """What the square is filled with, [1, C, H, W] or [1, C, 1, 1], in the image's normalised values.

    "gray": half of the full level, normalised by mean and std [C] (by default ImageNet's for 3 channels, 0.5 for
    others); "mean": the image's mean colour; "blur": the image under a Gaussian of a tenth of its shorter side.
    """
    image = _one_image(image)
    if fill == "gray":
        plain = image.shape[1] != 3
        mean = image.new_tensor([0.5] * image.shape[1] if plain else IMAGENET_MEAN) if mean is None else mean
        std = image.new_tensor([1.0] * image.shape[1] if plain else IMAGENET_STD) if std is None else std
        return ((0.5 - mean) / std).to(image).view(1, -1, 1, 1)
    if fill == "mean":
        return image.mean((2, 3), keepdim=True)
    if fill == "blur":
        return _blurred(image, sigma=min(image.shape[2:]) / 10)
    raise UserError(f"fill={fill!r} is not one of {', '.join(get_args(Fill))}.")


def occlude(image: Tensor, box: Box, fill: Fill = "gray", fill_value: Tensor | None = None) -> Tensor:
    """A copy of an image ([C, H, W] or [1, C, H, W]) with the box (top, left, bottom, right) filled in."""
    filling = fill_values(image, fill) if fill_value is None else _filling(_one_image(image), fill_value)
    occluded = _one_image(image).clone()
    _paint(occluded[0], filling, box)
    return occluded.view_as(image)


# -- Running ----------------------------------------------------------------------------------------------------------


def _clean(
    program: TracedProgram,
    image: Tensor,
    target: int | None,
    layer: str | None,
    boxes: np.ndarray,
    cancel: Callable[[], bool] | None,
) -> OcclusionMap:
    """The map with nothing done yet, and the figures without a square."""
    probabilities, maps = _evaluate(program, image, layer, cancel)
    classes = probabilities.shape[1]
    if not probabilities.isfinite().all():
        raise UserError("The network's output for this image is not finite: there is nothing to compare with.")
    best = int(probabilities[0].argmax())
    if target is not None and not 0 <= target < classes:
        raise UserError(f"target={target} is not a class: they go from 0 to {classes - 1}.")
    chosen = best if target is None else target
    sums = None if maps is None else _sums(maps)[0].nan_to_num(nan=-torch.inf)
    channel = None if sums is None else int(sums.argmax())
    empty = np.full(boxes.shape[:2], np.nan)
    return OcclusionMap(
        probability=empty.copy(), top_class=np.full(boxes.shape[:2], -1), top_probability=empty.copy(),
        activation=None if sums is None else empty.copy(), done=np.zeros(boxes.shape[:2], bool), boxes=boxes,
        target=chosen, baseline=float(probabilities[0, chosen]), baseline_class=best, channel=channel,
        baseline_activation=None if sums is None or channel is None else float(sums[channel]),
    )  # fmt: skip


def _filled_in(
    program: TracedProgram,
    image: Tensor,
    filling: Tensor,
    found: OcclusionMap,
    layer: str | None,
    visits: list[tuple[int, int]],
    batch_size: int,
    cancel: Callable[[], bool] | None,
) -> Iterator[OcclusionMap]:
    yield found
    for first in range(0, len(visits), batch_size):
        if cancel is not None and cancel():
            raise Cancelled
        batch = visits[first : first + batch_size]
        images = image.repeat(len(batch), 1, 1, 1)
        for picture, position in zip(images, batch, strict=True):
            _paint(picture, filling, found.box(*position))
        probabilities, maps = _evaluate(program, images, layer, cancel)
        _store(found, batch, probabilities, maps)
        yield found


def _evaluate(
    program: TracedProgram, images: Tensor, layer: str | None, cancel: Callable[[], bool] | None
) -> tuple[Tensor, Tensor | None]:
    """Probabilities [N, classes], and the layer's output."""
    result = run(program, images, capture=[layer] if layer else [], cancel=cancel)
    logits = first_tensor(result.output).flatten(1)
    return logits.double().softmax(1).cpu(), first_tensor(result.captured[layer]) if layer else None


def _sums(maps: Tensor) -> Tensor:
    """Total activation of each map: [N, C]."""
    return maps.double().flatten(2).sum(2).cpu() if maps.dim() > 2 else maps.double().cpu()


def _store(found: OcclusionMap, batch: list[tuple[int, int]], probabilities: Tensor, maps: Tensor | None) -> None:
    rows, columns = np.array(batch).T
    best = probabilities.max(1)
    found.probability[rows, columns] = probabilities[:, found.target].numpy()
    found.top_probability[rows, columns] = best.values.numpy()
    found.top_class[rows, columns] = best.indices.where(best.values.isfinite(), -1).numpy()
    if found.activation is not None and maps is not None:
        found.activation[rows, columns] = _sums(maps)[:, found.channel].numpy()
    found.done[rows, columns] = True


def _visits(shape: tuple[int, int], order: Order) -> list[tuple[int, int]]:
    """Positions in the order of the visit. Coarse: first those on the grid of the largest power of two, then halves."""
    positions = [(row, column) for row in range(shape[0]) for column in range(shape[1])]
    if order == "rows":
        return positions
    return sorted(positions, key=lambda at: -((at[0] | at[1] | 1 << 30) & -(at[0] | at[1] | 1 << 30)))


def _batch_size(graph: LayerGraph, image: Tensor) -> int:
    """As many images as keep the activations below BATCH_BYTES and one layer below BATCH_MACS; at least one."""
    bytes_needed = max(sum(prod(s) for s in (*layer.input_shapes, *layer.outputs)) for layer in graph)
    bytes_needed *= image.element_size()
    by_macs = BATCH_MACS.get(image.device.type, 10**12) // max(1, max(_macs(layer) for layer in graph))
    return max(1, min(BATCH_BYTES // bytes_needed, by_macs))


def _macs(layer: Layer) -> int:
    return prod(layer.output_shape) * int(layer.attributes.get("fan_in", 0))


# -- Squares and fills ------------------------------------------------------------------------------------------------


def _pair(name: str, value: Size) -> tuple[int, int]:
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2 or min(pair) < 1:
        raise UserError(f"{name}={value} is not a positive number of pixels, or a pair (height, width) of them.")
    return pair


def _starts(length: int, window: int, stride: int) -> list[int]:
    starts = list(range(0, length - window + 1, stride))
    return starts if starts[-1] + window == length else [*starts, length - window]


def _one_image(image: Tensor) -> Tensor:
    image = image if image.dim() == 4 else image[None]
    if image.dim() != 4 or len(image) != 1:
        raise UserError(f"image of shape {list(image.shape)} is not one image [C, H, W].")
    return image


def _filling(image: Tensor, value: Tensor) -> Tensor:
    """A given fill, [C], [1, C, 1, 1] or as large as the image, as [1, C, H or 1, W or 1]."""
    value = value.view(1, -1, 1, 1) if value.dim() == 1 else value
    try:
        torch.broadcast_shapes(value.shape[-3:], image.shape[-3:])
    except RuntimeError as error:
        raise UserError(f"fill of shape {list(value.shape)} does not fit {list(image.shape)}.") from error
    return value.to(image).reshape(1, *value.shape[-3:])


def _paint(picture: Tensor, filling: Tensor, box: Box) -> None:
    top, left, bottom, right = box
    picture[:, top:bottom, left:right] = filling.expand(1, *picture.shape)[0, :, top:bottom, left:right]


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """A separable Gaussian cut at 3 sigma; the border is replicated."""
    radius = max(1, round(3 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(image) / sigma) ** 2)
    taps = (taps / taps.sum()).view(1, 1, -1, 1)
    planes = image.transpose(0, 1)
    planes = F.conv2d(F.pad(planes, (0, 0, radius, radius), mode="replicate"), taps)
    planes = F.conv2d(F.pad(planes, (radius, radius, 0, 0), mode="replicate"), taps.transpose(2, 3))
    return planes.transpose(0, 1)
