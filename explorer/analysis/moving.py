"""Pictures moved as in figure 5 of Zeiler and Fergus (2014): shifted, enlarged, turned; what comes in is reflected."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Move = Literal["vertical", "horizontal", "scale", "rotation"]
MOVES: tuple[Move, ...] = ("vertical", "horizontal", "scale", "rotation")
UNITS: dict[Move, str] = {"vertical": "px", "horizontal": "px", "scale": "×", "rotation": "°"}
_FURTHEST = 60 / 224  # of the side: the paper shifts pictures of 224 px by up to 60
_SHIFTS = 8  # to either side
_SCALES = tuple(1 + step / 10 for step in range(9))  # the paper's 1 to 1.8
_TURNS = tuple(range(0, 360, 15))


def amounts(move: Move, size_px: int) -> tuple[float, ...]:
    """How far the paper moves pictures of that side, in UNITS; shifts are whole pixels, down and to the right."""
    if move == "scale":
        return _SCALES
    if move == "rotation":
        return tuple(map(float, _TURNS))
    furthest = round(_FURTHEST * size_px)
    return tuple(sorted({float(round(furthest * step / _SHIFTS)) for step in range(-_SHIFTS, _SHIFTS + 1)}))


def moved(images: Tensor, move: Move, amount: float) -> Tensor:
    """Images [N, C, H, W] moved by an amount in UNITS, about their centre, as bilinear values; turned anticlockwise."""
    height, width = images.shape[2:]
    theta = torch.tensor(_theta(move, amount, height, width), dtype=images.dtype, device=images.device)
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _theta(move: Move, amount: float, height: int, width: int) -> list[list[float]]:
    """From places of the result to those of the image, in halves of its sides."""
    match move:
        case "vertical":
            return [[1, 0, 0], [0, 1, -2 * amount / height]]
        case "horizontal":
            return [[1, 0, -2 * amount / width], [0, 1, 0]]
        case "scale":
            return [[1 / amount, 0, 0], [0, 1 / amount, 0]]
        case "rotation":
            sine, cosine = math.sin(math.radians(amount)), math.cos(math.radians(amount))
            return [[cosine, -sine * height / width, 0], [sine * width / height, cosine, 0]]
