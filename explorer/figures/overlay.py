"""Boxes over pictures, as pixels: large enough to be looked at, visible on any background."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from explorer.types import Box

SIDE = 560


def boxed(pixels: np.ndarray, box: Box, side_px: int = SIDE) -> np.ndarray:
    """uint8 [H, W, 3] enlarged to about `side_px`, dimmed outside the box (top, left, bottom, right; in pixels of the
    picture, ends exclusive), with a double frame around it."""
    scale = max(1, side_px // max(pixels.shape[:2]))
    large = pixels.repeat(scale, 0).repeat(scale, 1)
    top, left, bottom, right = (edge * scale for edge in box)
    shown = (large * 0.45 + 255 * 0.1).astype(np.uint8)
    shown[top:bottom, left:right] = large[top:bottom, left:right]
    image = Image.fromarray(shown)
    draw = ImageDraw.Draw(image)
    if bottom > top and right > left:
        draw.rectangle((left, top, right - 1, bottom - 1), outline="black", width=4)
        draw.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline="#f0e442", width=2)
    return np.array(image)
