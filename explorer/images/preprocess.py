"""Pixels to a network's input and back, as torchvision's presets do it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image

from explorer.errors import UserError, shown
from explorer.types import Colour

Fit = Literal["crop", "stretch", "pad"]
ColourOrder = Literal["RGB", "BGR"]
_LEAST_STD = 1e-9  # of values from 0 to 1: below it the input is near what float32 can hold
# The whole of a picture, and what is shown of it: (left, top, right, bottom) in its pixels, as Pillow has it.
_PixelBox = tuple[float, float, float, float]


def resize(
    picture: np.ndarray | Image.Image,
    size: tuple[int, int],
    how: Fit = "crop",
    edge_px: int | None = None,
    interpolation: str = "bilinear",
    fill: Colour = (0, 0, 0),
) -> np.ndarray:
    """Resizes uint8 [H, W, 3], or the same as Pillow has it, to `size` (height, width) with one of Pillow's antialiased
    filters, by its name.

    "stretch" ignores the aspect ratio. "crop" keeps it and cuts out the centre: as torchvision's Resize and
    CenterCrop do, the picture is first scaled to `edge_px` (by default the shorter side of `size`), so that a value
    above `size` cuts a margin off, also of "stretch". Only what is kept is computed, so a long strip costs no more.
    "pad" scales the longer side to `edge_px`, and puts `fill` around the picture.
    """
    edge = edge_px or min(size)
    whole = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if how == "pad":
        return _padded(whole, size, edge, interpolation, fill)
    return _scaled(whole, size, interpolation, kept_box((whole.height, whole.width), size, how, edge))


def _scaled(
    picture: Image.Image, size: tuple[int, int], interpolation: str, box: _PixelBox | None = None
) -> np.ndarray:
    return np.array(picture.resize((size[1], size[0]), Image.Resampling[interpolation.upper()], box=box))


def kept_box(picture: tuple[int, int], size: tuple[int, int], how: Fit, edge_px: int) -> _PixelBox:
    """What is kept of a picture (height, width): (left, top, right, bottom) in its pixels, in fractions of them."""
    (height, width), (rows, columns) = picture, size
    if how == "pad":
        return 0.0, 0.0, float(width), float(height)
    scale = edge_px / min(size)
    full_h, full_w = frame_h, frame_w = round(rows * scale), round(columns * scale)
    if how == "crop":
        # The other side is rounded down, as torchvision does: the two scales may differ by a hair.
        wide = width * frame_h >= height * frame_w
        full_h = frame_h if wide else max(rows, frame_w * height // width)
        full_w = max(columns, frame_h * width // height) if wide else frame_w
    top, left = round((full_h - rows) / 2), round((full_w - columns) / 2)
    x, y = width / full_w, height / full_h
    return left * x, top * y, min((left + columns) * x, width), min((top + rows) * y, height)


def _padded(picture: Image.Image, size: tuple[int, int], edge_px: int, interpolation: str, fill: Colour) -> np.ndarray:
    (width, height), scale = picture.size, edge_px / min(size)
    frame_h, frame_w = (max(1, round(side * scale)) for side in size)
    wide = width * frame_h >= height * frame_w
    inner_h = max(1, frame_w * height // width) if wide else frame_h
    inner_w = frame_w if wide else max(1, frame_h * width // height)
    top, left = (size[0] - inner_h) // 2, (size[1] - inner_w) // 2
    canvas = np.full((*size, 3), fill, np.uint8)
    canvas[top : top + inner_h, left : left + inner_w] = _scaled(picture, (inner_h, inner_w), interpolation)
    return canvas


def to_pixels(tensor: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """The inverse of the normalisation: [C, H, W] or [1, C, H, W] to uint8 [H, W, 3]; NaN becomes black."""
    values = tensor.detach().float().cpu().reshape(tensor.shape[-3:])
    shown = values * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    levels = (shown.nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


def _gray(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Repeats the luma in all three channels where the network takes one."""
    if channels == 3:
        return pixels
    return np.array(Image.fromarray(pixels).convert("L").convert("RGB"))


@dataclass(frozen=True)
class Preprocessing:
    """What a network's weights expect of a picture: resized to `crop` (height, width), then normalised.

    fit, resize_px: "crop" scales the shorter side to `resize_px` and cuts out the centre, "stretch" both sides, "pad"
    the longer one, with the mean colour around it. mean, std: (value / 255 - mean) / std is taken over 3 channels or,
    from the luma, 1. order: in which the colours come, as mean and std do. origin: who says so. Raises
    UserError that names the field.
    """

    resize_px: int
    crop: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int = 3
    interpolation: str = "bilinear"
    fit: Fit = "crop"
    origin: str = field(default="", compare=False)
    order: ColourOrder = "RGB"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or not len(self.mean) == len(self.std) == self.channels:
            raise UserError(f"channels={self.channels} must be 1 or 3, and mean and std as long.")
        if self.order not in get_args(ColourOrder) or (self.order == "BGR" and self.channels == 1):
            raise UserError(f"order={shown(self.order)} is not RGB, or BGR of 3 channels.")
        if not all(map(math.isfinite, self.mean)):
            raise UserError(f"mean={_listed(self.mean)}: each must be a finite number.")
        if not all(math.isfinite(value) and value >= _LEAST_STD for value in self.std):
            raise UserError(f"std={_listed(self.std)}: each must be a finite number of at least {_LEAST_STD:g}.")
        side = min(self.crop)
        if side < 1 or self.resize_px < 1:
            raise UserError(f"crop={self.crop}, resize={self.resize_px}: both must be at least 1 px.")
        if self.fit != "pad" and self.resize_px < side:
            raise UserError(f"resize={self.resize_px} px is less than the {side} px of the input, crop={self.crop}.")
        if self.fit == "pad" and self.resize_px > side:
            raise UserError(f"resize={self.resize_px} px is more than the {side} px that fit=pad can fill.")

    def view(self, picture: np.ndarray | Image.Image) -> np.ndarray:
        """A picture, uint8 [H, W, 3] or as Pillow has it, as the network sees it, uint8 [*crop, 3]."""
        mean = self.mean[::-1] if self.order == "BGR" else self.mean * (3 // self.channels)
        red, green, blue = (round(255 * min(max(value, 0), 1)) for value in mean)
        fill = red, green, blue
        return _gray(resize(picture, self.crop, self.fit, self.resize_px, self.interpolation, fill), self.channels)

    def tensor(self, pixels: np.ndarray) -> torch.Tensor:
        """The network's input, float32 [1, channels, *crop]."""
        return self.normalised(torch.from_numpy(self.view(pixels))[None]).contiguous()

    def normalised(self, views: torch.Tensor) -> torch.Tensor:
        """Several pictures as `view` gives them, uint8 [N, *crop, 3], as inputs float32 [N, channels, *crop]."""
        levels = views[..., : self.channels]
        levels = levels.flip(-1) if self.order == "BGR" else levels
        # Row by row in one piece of memory: over the three channels of a pixel alone it would take four times as long.
        rows = levels.flatten(2).float().div_(255)
        mean, std = (torch.tensor(each * levels.shape[2], device=views.device) for each in (self.mean, self.std))
        return rows.sub_(mean).div_(std).view(levels.shape).permute(0, 3, 1, 2)

    def in_rgb(self, signal: torch.Tensor) -> torch.Tensor:
        """A signal [..., C, H, W] at the network's input with its channels in the order that pictures have, or back."""
        return signal.flip(-3) if self.order == "BGR" else signal

    def pixels(self, tensor: torch.Tensor) -> np.ndarray:
        """The inverse: an input [C, H, W] or [1, C, H, W] as a picture, uint8 [H, W, 3]."""
        return to_pixels(self.in_rgb(tensor), *((values[::-1] if self.order == "BGR" else values)
                                                for values in (self.mean, self.std)))  # fmt: skip

    def unseen(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The shares of a picture that are cut off at its left, top, right and bottom, from 0 to 1."""
        left, top, right, bottom = kept_box((height, width), self.crop, self.fit, self.resize_px)
        return left / width, top / height, 1 - right / width, 1 - bottom / height


def _listed(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:g}' for value in values[:4])}{', …' if len(values) > 4 else ''})"
