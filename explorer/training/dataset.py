"""A procedural picture set of cartoon objects: images, labels, object masks and part masks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.errors import UserError
from explorer.training.drawing import creatures, plants, things  # noqa: F401  (importing them registers their subjects)
from explorer.training.drawing.canvas import paint_picture
from explorer.training.drawing.subjects import SUBJECTS
from explorer.whole_file import write_whole

CLASSES: tuple[str, ...] = tuple(sorted(SUBJECTS))
PARTS: dict[str, tuple[str, ...]] = {name: SUBJECTS[name].parts for name in CLASSES}
MEAN: tuple[float, float, float] = (0.676, 0.645, 0.624)  # of pixels in 0..1, per channel
STD: tuple[float, float, float] = (0.239, 0.217, 0.204)
COLOUR_COVARIANCE = ((0.057, 0.040, 0.030), (0.040, 0.047, 0.038), (0.030, 0.038, 0.042))  # covariance of the channels
SMALLEST_PX, LARGEST_PX = 16, 1024
SAMPLE_PX, SAMPLE_SEED = 256, 0
SAMPLE_INDICES: dict[str, int] = {  # class name → index, picked by eye
    "bird": 1,
    "boat": 3,
    "car": 4,
    "cat": 4,
    "clock": 5,
    "face": 1,
    "fish": 8,
    "flower": 1,
    "house": 5,
    "teapot": 9,
    "tree": 8,
    "umbrella": 7,
}


class PictureError(UserError):
    """A picture that the set cannot draw; names the field and its value."""


@dataclass(frozen=True)
class Item:
    """One picture: image uint8 [H, W, 3], label and its name, mask bool [H, W], one mask [H, W] per part.

    The masks show what is visible: a pixel belongs to at most one part; the object's mask is their union.
    """

    image: np.ndarray
    label: int
    name: str
    mask: np.ndarray
    parts: dict[str, np.ndarray]


def draw_item(seed: int, index: int, size_px: int = 64, label: int | None = None) -> Item:
    """Draw item `index` of the set `seed`, `size_px` square; the same arguments give the same item.

    Without `label` each block of len(CLASSES) items holds every class once, in random order.
    Raises PictureError if an argument is out of range.
    """
    _check(index, size_px, label)
    chosen = label_of(seed, index) if label is None else label
    subject = SUBJECTS[CLASSES[chosen]]
    drawing = paint_picture(subject, Random(f"picture {seed} {index} {chosen}"), size_px)
    parts = {part: drawing.part_ids == number for number, part in enumerate(subject.parts, start=1)}
    return Item(drawing.image, chosen, subject.name, drawing.part_ids > 0, parts)


def label_of(seed: int, index: int) -> int:
    """Label that item `index` of the set `seed` has, without drawing it."""
    block, place = divmod(index, len(CLASSES))
    return Random(f"labels {seed} {block}").sample(range(len(CLASSES)), len(CLASSES))[place]


def _check(index: int, size_px: int, label: int | None) -> None:
    if index < 0:
        raise PictureError(f"index={index} is negative.")
    if not SMALLEST_PX <= size_px <= LARGEST_PX:
        raise PictureError(f"size_px={size_px} is not between {SMALLEST_PX} and {LARGEST_PX}.")
    if label is not None and not 0 <= label < len(CLASSES):
        raise PictureError(f"label={label} is not between 0 and {len(CLASSES) - 1}.")


def to_tensor_batch(seed: int, start: int, count: int, size_px: int = 64) -> tuple[Tensor, Tensor]:
    """Items start … start+count-1 as (uint8 [N, 3, H, W], int64 labels [N]); scale with MEAN, STD."""
    if count < 0:
        raise PictureError(f"count={count} is negative.")
    images = np.empty((count, 3, size_px, size_px), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    for row in range(count):
        item = draw_item(seed, start + row, size_px)
        images[row], labels[row] = item.image.transpose(2, 0, 1), item.label
    return torch.from_numpy(images), torch.from_numpy(labels)


def sample(name: str) -> Item:
    """The app's sample picture of a class, SAMPLE_PX square; KeyError for a name that is not in SAMPLE_INDICES."""
    return draw_item(SAMPLE_SEED, SAMPLE_INDICES[name], SAMPLE_PX, CLASSES.index(name))


def write_samples(folder: Path | str) -> list[Path]:
    """Draw every sample into `folder` as NAME.png, and return the paths."""
    paths = [Path(folder) / f"{name}.png" for name in SAMPLE_INDICES]
    for path in paths:
        write_whole(path, partial(Image.fromarray(sample(path.stem).image).save, optimize=True))
    return paths
