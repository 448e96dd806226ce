"""Filters as pictures: in the image's colours, signed in gray, as norm over their inputs; a matrix of weights whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.analysis.filters import LayerFilters
from explorer.figures.raster import INVALID, colourise
from explorer.images.preprocess import ColourOrder

LARGEST_MATRIX = 256  # rows and columns of a matrix's picture

_SIGNED = "gray is 0, white and black are plus and minus its greatest weight"
IN_COLOURS = f"In red, green and blue, each filter by itself: {_SIGNED}."
ONE_INPUT = f"Each filter by itself: {_SIGNED}."
NORMS = "L2 norm over the input channels at each position, each filter by itself: from 0 (dark) to its greatest."


def is_coloured(found: LayerFilters) -> bool:
    """Whether filters are pictures in the image's own colours: those that read its three channels."""
    return found.reads_image and found.groups == 1 and found.weights.shape[1] == 3


def filter_pictures(
    found: LayerFilters, channels: Sequence[int], place: int | None = None, order: ColourOrder = "RGB"
) -> tuple[list[np.ndarray], str]:
    """The filters of some output channels, uint8 [rows, columns, 3] each, and a sentence that says how they are drawn.

    place: of one input channel (of each group) alone; else all of them, as colours where `is_coloured`, as they are
    where there is one, or as their norm. order: in which a network that reads the image has its colours.
    """
    if place is None and is_coloured(found):
        turn = -1 if order == "BGR" else 1
        return [in_colours(found.weights[i, ::turn].transpose(1, 2, 0)) for i in channels], IN_COLOURS
    if place is not None or found.weights.shape[1] == 1:
        return [in_gray(found.weights[i, place or 0]) for i in channels], ONE_INPUT
    norms = [np.sqrt(np.square(found.weights[i], dtype=np.float64).sum(0)) for i in channels]
    return [colourise(norm, (0.0, _greatest(norm))) for norm in norms], NORMS


def matrix_picture(found: LayerFilters) -> tuple[np.ndarray, str]:
    """All weights of 1×1 filters as one picture, uint8 [outputs, inputs, 3], and how it is drawn.

    One of more than LARGEST_MATRIX rows or columns has cells of several weights each.
    """
    weights = found.weights[:, :, 0, 0]
    axes = f"Rows are output channels, columns {'input channels' if found.groups == 1 else 'inputs of their group'}"
    rows, columns = (-(-side // LARGEST_MATRIX) for side in weights.shape)
    if rows == columns == 1:
        limit = _greatest(weights)
        return in_gray(weights, limit), f"{axes}: gray is 0, white {limit:.3g}, black −{limit:.3g}."
    cells = _blocks(weights, rows, columns)
    limit = _greatest(cells)
    how = f"root mean square of {rows} × {columns} weights to a cell, from 0 (dark) to {limit:.3g}"
    return colourise(cells, (0.0, limit)), f"{axes}; {how}."


def in_colours(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Values [rows, columns, 3] as red, green and blue: 0 is 128, ± `limit` 255 and 0; by default it is the greatest
    magnitude."""
    colours = _bytes(values, _greatest(values) if limit is None else limit)
    colours[~np.isfinite(values).all(-1)] = INVALID
    return colours


def in_gray(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Values [...] as gray, uint8 [..., 3]: 0 is 128, ± `limit` 255 and 0; by default it is the greatest magnitude."""
    colours = _bytes(values, _greatest(values) if limit is None else limit)[..., None].repeat(3, -1)
    colours[~np.isfinite(values)] = INVALID
    return colours


def _bytes(values: np.ndarray, limit: float) -> np.ndarray:
    shares = np.nan_to_num(values.astype(np.float64) / (limit or 1.0)).clip(-1, 1)
    return (127.5 + 127.5 * shares).round().astype(np.uint8)


def _greatest(values: np.ndarray) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _blocks(weights: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The root mean square of each block of rows × columns; those at the end may be smaller."""
    starts = np.arange(0, weights.shape[1], columns)
    widths = np.diff([*starts, weights.shape[1]])
    means = []
    for top in range(0, len(weights), rows):
        part = np.square(weights[top : top + rows], dtype=np.float64)  # one row of blocks: the whole may be large
        means.append(np.add.reduceat(part.sum(0), starts) / (widths * len(part)))
    return np.sqrt(means)
