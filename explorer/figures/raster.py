"""Arrays to colours and pictures: cividis, enlarged maps, maps laid over an image, addresses that hold their data."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from plotly.colors import sequential

from explorer.images.codec import encode_png
from explorer.receptive_field.intervals import Axis
from explorer.types import Size

Range = tuple[float, float]

SHOWN_PX = 512  # small pictures are enlarged by a whole factor to about this
CIVIDIS: tuple[str, ...] = tuple(sequential.Cividis)
INVALID = (213, 94, 0)  # NaN and infinity: vermilion, which cividis does not hold


@cache
def _cividis() -> np.ndarray:
    """The colour map as uint8 [256, 3]."""
    stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in CIVIDIS])
    at = np.linspace(0, len(stops) - 1, 256)
    return np.stack([np.interp(at, range(len(stops)), channel) for channel in stops.T], -1).round().astype(np.uint8)


def limits(values: np.ndarray) -> Range:
    """Least and greatest of the finite values; (0, 0) where there are none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def colourise(values: np.ndarray, scale: Range) -> np.ndarray:
    """Values [...] as cividis from low to high of `scale`, uint8 [..., 3]; what is not finite becomes INVALID."""
    low, high = scale
    share = (np.nan_to_num(values.astype(np.float64)) - low) / ((high - low) or 1.0)
    colours = _cividis()[(share.clip(0, 1) * 255).round().astype(np.intp)]
    colours[~np.isfinite(values)] = INVALID
    return colours


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the cells of a map lie on an image of `size` (height, width): centres in pixels, ascending, per axis."""

    rows: np.ndarray
    columns: np.ndarray
    size: Size


def stretched(map_size: Size, size: Size) -> Placement:
    """Cells of equal size that fill the image."""
    rows, columns = ((np.arange(n) + 0.5) * length / n for n, length in zip(map_size, size, strict=True))
    return Placement(rows, columns, size)


def placed(axes: tuple[Axis, Axis], map_size: Size, size: Size) -> Placement:
    """Each cell at the centre of what its unit sees; an axis that sees everything is stretched."""
    plain = stretched(map_size, size)
    rows, columns = (
        _centres(axis, n, otherwise)
        for axis, n, otherwise in zip(axes, map_size, (plain.rows, plain.columns), strict=True)
    )
    return Placement(rows, columns, size)


def _centres(axis: Axis, count: int, otherwise: np.ndarray) -> np.ndarray:
    seen = [axis.interval(i) for i in range(count)]
    if axis.is_global or None in seen:
        return otherwise
    centres = np.array([(first + last + 1) / 2 for first, last in filter(None, seen)])
    return centres if (np.diff(centres) > 0).all() and centres[0] < 2 * otherwise[-1] else otherwise


def edges(centres: np.ndarray, length: int) -> np.ndarray:
    """The borders of the cells around their centres, one more than there are cells."""
    if len(centres) == 1:
        return np.array([0.0, float(length)])
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    # A margin narrower than half a cell belongs to the outermost cell.
    first = 0.0 if 0 < first <= middle[0] - centres[0] else first
    last = float(length) if 0 < length - last <= centres[-1] - middle[-1] else last
    return np.concatenate([[first], middle, [last]])


def spread(values: np.ndarray, at: Placement, zoom: int, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
    """A map [H, W] or [H, W, 3] over its image: values [height · zoom, width · zoom, …], and where a cell covers them.

    smooth: linear between the centres of cells, for [H, W] only; else each pixel has the value of its cell.
    """
    (r0, r1, rf, rows), (c0, c1, cf, columns) = (
        _samples(centres, length, zoom, smooth) for centres, length in zip((at.rows, at.columns), at.size, strict=True)
    )
    covered = rows[:, None] & columns[None, :]
    if not smooth:
        return values[r0][:, c0], covered
    top = _mix(values[r0][:, c0], values[r0][:, c1], cf[None, :])
    bottom = _mix(values[r1][:, c0], values[r1][:, c1], cf[None, :])
    return _mix(top, bottom, rf[:, None]), covered


def _samples(
    centres: np.ndarray, length: int, zoom: int, smooth: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For every pixel of the enlarged axis: two cells, the share of the second, whether it is covered at all."""
    pixel = (np.arange(length * zoom) + 0.5) / zoom
    borders, last = edges(centres, length), len(centres) - 1
    covered = (pixel >= borders[0]) & (pixel <= borders[-1])
    if not smooth:
        nearest = (np.searchsorted(borders, pixel, side="right") - 1).clip(0, last)
        return nearest, nearest, np.zeros(len(pixel)), covered
    exact = np.interp(pixel, centres, np.arange(last + 1))
    lower = np.floor(exact).astype(np.intp)
    return lower, (lower + 1).clip(0, last), exact - lower, covered


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Between two arrays; a share of 0 or 1 takes one of them whole, also where the other is not finite."""
    with np.errstate(invalid="ignore"):
        mixed = first * (1 - share) + second * share
    return np.where(share == 0, first, np.where(share == 1, second, mixed))


def zoom_of(size: Size) -> int:
    """The whole factor that brings an image to about SHOWN_PX."""
    return max(1, round(SHOWN_PX / max(size)))


def enlarge(picture: np.ndarray, zoom: int) -> np.ndarray:
    """Every pixel as zoom × zoom pixels."""
    return picture.repeat(zoom, 0).repeat(zoom, 1)


def blend(picture: np.ndarray, colours: np.ndarray, covered: np.ndarray, opacity: float) -> np.ndarray:
    """Colours over a picture, both uint8 [H, W, 3], where they cover it."""
    share = covered[..., None] * np.float32(opacity)
    return (picture + (colours.astype(np.float32) - picture) * share).round().astype(np.uint8)


def overlay(
    picture: np.ndarray, values: np.ndarray, at: Placement, scale: Range, opacity: float, smooth: bool = False
) -> np.ndarray:
    """A map [H, W] in cividis over the picture uint8 [*size, 3] that it was made from, enlarged."""
    zoom = zoom_of(at.size)
    colours, covered = coloured(values, at, scale, zoom, smooth)
    return blend(enlarge(picture, zoom), colours, covered, opacity)


def coloured(values: np.ndarray, at: Placement, scale: Range, zoom: int, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
    """A map [H, W] in cividis over its enlarged image, uint8 [h, w, 3], and where a cell covers it."""
    if not smooth:
        return spread(colourise(values, scale), at, zoom, smooth=False)
    found, covered = spread(values, at, zoom, smooth=True)
    return colourise(found, scale), covered


def address(picture: np.ndarray) -> str:
    """A picture uint8 as a `data:` address."""
    return "data:image/png;base64," + base64.b64encode(encode_png(picture)).decode()


def contact_sheet(pictures: Sequence[np.ndarray], columns: int, gap_px: int = 4) -> np.ndarray:
    """Pictures of one size, uint8 [h, w, 3], row by row on white."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    found = np.full((rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = gap_px + row * (height + gap_px), gap_px + column * (width + gap_px)
        found[top : top + height, left : left + width] = picture
    return found
