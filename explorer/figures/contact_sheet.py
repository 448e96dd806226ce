"""A unit's nine patches as one small picture of 3 × 3, as in figure 2 of Zeiler and Fergus (2014)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

_PER_ROW = 3  # patches in a row, and rows
_BETWEEN = 128  # the gray between patches, which is 0 of a projection
_GAP_PX = 1


def block(pictures: Sequence[np.ndarray], cell_px: int) -> np.ndarray:
    """The first nine pictures [h, w, 3] in rows of three, each in a square of `cell_px`: uint8, as high as wide."""
    pitch = cell_px + _GAP_PX
    sheet = np.full((_PER_ROW * pitch - _GAP_PX, _PER_ROW * pitch - _GAP_PX, 3), _BETWEEN, np.uint8)
    for place, picture in enumerate(pictures[: _PER_ROW * _PER_ROW]):
        row, column = divmod(place, _PER_ROW)
        fitted = _fitted(picture, cell_px)
        height, width = fitted.shape[:2]
        top, left = row * pitch + (cell_px - height) // 2, column * pitch + (cell_px - width) // 2
        sheet[top : top + height, left : left + width] = fitted
    return sheet


def _fitted(picture: np.ndarray, side_px: int) -> np.ndarray:
    """Scaled so that the longer side fills the square; enlarged pixels stay squares."""
    height, width = picture.shape[:2]
    if not height or not width:
        return picture
    scale = side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return np.array(Image.fromarray(picture).resize(size, how))


def in_rows(blocks: Sequence[np.ndarray], per_row: int, gap_px: int) -> np.ndarray:
    """Pictures of one size, so many in a row with white between them, uint8 [height, width, 3]."""
    height, width = blocks[0].shape[:2]
    rows, columns = -(-len(blocks) // per_row), min(len(blocks), per_row)
    size = rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3
    sheet = np.full(size, 255, np.uint8)
    for place, picture in enumerate(blocks):
        top, left = (
            number * (side + gap_px) for number, side in zip(divmod(place, per_row), (height, width), strict=True)
        )
        sheet[top : top + height, left : left + width] = picture
    return sheet
