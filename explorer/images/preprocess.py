"""Pixels to a network's input and back, as torchvision's presets do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image

Resize = Literal["cover", "stretch"]


def resize(
    pixels: np.ndarray,
    size: tuple[int, int],
    how: Resize = "cover",
    shorter_px: int | None = None,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Resizes uint8 [H, W, 3] to `size` (height, width) with an antialiased filter, "bilinear" or "bicubic".

    "stretch" ignores the aspect ratio. "cover" keeps it and cuts out the centre: as torchvision's Resize and
    CenterCrop do, the picture is first scaled to `shorter_px` (by default the shorter side of `size`), so
    that a value above `size` cuts a margin off. Only what is kept is computed, so a long strip costs no more.
    """
    (height, width), (rows, columns) = pixels.shape[:2], size
    if how == "stretch":
        box = (0.0, 0.0, float(width), float(height))
    else:
        scale = (shorter_px or min(size)) / min(size)
        frame_h, frame_w = round(rows * scale), round(columns * scale)
        # The other side is rounded down, as torchvision does: the two scales may differ by a hair.
        wide = width * frame_h >= height * frame_w
        full_h = frame_h if wide else max(rows, frame_w * height // width)
        full_w = max(columns, frame_h * width // height) if wide else frame_w
        top, left = round((full_h - rows) / 2), round((full_w - columns) / 2)
        x, y = width / full_w, height / full_h
        box = (left * x, top * y, min((left + columns) * x, width), min((top + rows) * y, height))
    image = Image.fromarray(pixels).resize((columns, rows), Image.Resampling[interpolation.upper()], box=box)
    return np.array(image)


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


def _normalise(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], channels: int) -> torch.Tensor:
    values = torch.from_numpy(pixels[..., :channels].copy()).permute(2, 0, 1).float() / 255
    normalised = (values - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    return normalised.unsqueeze(0).contiguous()


@dataclass(frozen=True)
class Preprocessing:
    """What a network's weights expect: shorter side scaled to `resize_px` by `interpolation`, centre `crop`
    (height, width) cut out, then (value / 255 - mean) / std over 3 channels or, from the luma, 1."""

    resize_px: int
    crop: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int = 3
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"channels={self.channels} must be 1 or 3, and mean and std as long")
        if not 0 < min(self.crop) <= self.resize_px:
            raise ValueError(f"crop={self.crop}: the shorter side must be from 1 to {self.resize_px}")

    def view(self, pixels: np.ndarray) -> np.ndarray:
        """The part of a picture that the network sees, uint8 [*crop, 3]: what maps are drawn over."""
        return _gray(resize(pixels, self.crop, "cover", self.resize_px, self.interpolation), self.channels)

    def tensor(self, pixels: np.ndarray) -> torch.Tensor:
        """The network's input, float32 [1, channels, *crop]."""
        return _normalise(self.view(pixels), self.mean, self.std, self.channels)
