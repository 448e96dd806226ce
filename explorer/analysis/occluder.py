"""The squares that an occlusion slides over an image: where they lie, and what they are filled with."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.errors import UserError
from explorer.types import Box, Size

Fill = Literal["gray", "mean", "blur"]
Extent = int | Size  # one number of pixels for both axes, or one for each

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def default_window(image_px: int) -> int:
    """Three eighths of the image's side: hides a part of an object that matters, not the whole."""
    return max(1, round(image_px * 3 / 8))


def default_stride(window_px: int) -> int:
    """A sixth of the window, for a map of about 11 × 11 positions at the default window."""
    return max(1, round(window_px / 6))


def square_boxes(image_size: tuple[int, int], window: Extent, stride: Extent) -> np.ndarray:
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
    image = one_image(image)
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
    filling = fill_values(image, fill) if fill_value is None else given_fill(one_image(image), fill_value)
    occluded = one_image(image).clone()
    paint(occluded[0], filling, box)
    return occluded.view_as(image)


def one_image(image: Tensor) -> Tensor:
    """[C, H, W] or [1, C, H, W] as [1, C, H, W]; raises UserError for anything else."""
    image = image if image.dim() == 4 else image[None]
    if image.dim() != 4 or len(image) != 1:
        raise UserError(f"image of shape {list(image.shape)} is not one image [C, H, W].")
    return image


def singly(images: Tensor) -> list[Tensor]:
    """Images [N, C, H, W] as N of [1, C, H, W]."""
    return [images[i : i + 1] for i in range(len(images))]


def given_fill(image: Tensor, value: Tensor) -> Tensor:
    """A given fill, [C], [1, C, 1, 1] or as large as the image, as [1, C, H or 1, W or 1]."""
    value = value.view(1, -1, 1, 1) if value.dim() == 1 else value
    fits = value.dim() in (3, 4) and all(n in (1, m) for n, m in zip(value.shape[-3:], image.shape[-3:], strict=True))
    if not fits:
        raise UserError(f"fill_value of shape {list(value.shape)} does not fit an image {list(image.shape[-3:])}.")
    return value.to(image).reshape(1, *value.shape[-3:])


def paint(picture: Tensor, filling: Tensor, box: Box) -> None:
    """Fill the box of a picture [C, H, W], in place."""
    top, left, bottom, right = box
    picture[:, top:bottom, left:right] = filling.expand(1, *picture.shape)[0, :, top:bottom, left:right]


def _pair(name: str, value: Extent) -> tuple[int, int]:
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2 or min(pair) < 1:
        raise UserError(f"{name}={value} is not a positive number of pixels, or a pair (height, width) of them.")
    return pair


def _starts(length: int, window: int, stride: int) -> list[int]:
    starts = list(range(0, length - window + 1, stride))
    return starts if starts[-1] + window == length else [*starts, length - window]


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """A separable Gaussian cut at 3 sigma; the border is replicated."""
    radius = max(1, round(3 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(image) / sigma) ** 2)
    taps = (taps / taps.sum()).view(1, 1, -1, 1)
    planes = image.transpose(0, 1)
    planes = F.conv2d(F.pad(planes, (0, 0, radius, radius), mode="replicate"), taps)
    planes = F.conv2d(F.pad(planes, (radius, radius, 0, 0), mode="replicate"), taps.transpose(2, 3))
    return planes.transpose(0, 1)
