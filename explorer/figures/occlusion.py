"""Occlusion maps over the picture: a probability in cividis, the most probable class in colours of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.analysis.occlusion import OcclusionMap
from explorer.figures.raster import (  # fmt: skip
    INVALID,
    Placement,
    Range,
    blend,
    coloured,
    enlarge,
    limits,
    spread,
    zoom_of,
)
from explorer.types import Size

# Okabe and Ito's colours without their vermilion, which marks what is not finite.
CLASS_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#56b4e9", "#7b5aa6")
OTHER = "#8a8f98"


def placement(found: OcclusionMap, size: Size) -> Placement:
    """Each cell at the centre of the square that was hidden for it."""
    tops, lefts, bottoms, rights = np.moveaxis(found.boxes, -1, 0)
    return Placement((tops + bottoms)[:, 0] / 2, (lefts + rights)[0] / 2, size)


def scale(values: np.ndarray, baseline: float | None, from_zero: bool = False, least_span: float = 0.0) -> Range:
    """From the least value, or 0, to the greatest, with or without a square; never narrower than `least_span`."""
    low, high = limits(np.append(values, np.nan if baseline is None else baseline))
    low = min(low, 0.0) if from_zero else low
    return min(low, high - least_span), high


def over(
    picture: np.ndarray, values: np.ndarray, done: np.ndarray, at: Placement, colours: Range, opacity: float,
    smooth: bool,
) -> np.ndarray:  # fmt: skip
    """Values [rows, columns] in cividis over the picture; positions that are not done stay clear."""
    zoom = zoom_of(at.size)
    filled, covered = coloured(values, at, colours, zoom, smooth and bool(done.all()))
    return blend(enlarge(picture, zoom), filled, covered & spread(done, at, zoom, False)[0], opacity)


def class_colours(found: OcclusionMap) -> dict[int, str]:
    """A colour for the class without a square, then for the most frequent others; the rest share OTHER."""
    seen, counts = np.unique(found.top_class[found.done & (found.top_class >= 0)], return_counts=True)
    frequent = [int(c) for c in seen[np.argsort(-counts, kind="stable")] if c != found.baseline_class]
    order = [found.baseline_class, *frequent]
    return {c: CLASS_COLOURS[i] if i < len(CLASS_COLOURS) else OTHER for i, c in enumerate(order)}


def classes(
    picture: np.ndarray, found: OcclusionMap, colours: dict[int, str], at: Placement, opacity: float
) -> np.ndarray:
    """The most probable class at each position over the picture, in its colour."""
    zoom = zoom_of(at.size)
    painted = np.full((*found.top_class.shape, 3), INVALID, np.uint8)
    for index, colour in colours.items():
        painted[found.top_class == index] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    shown, covered = spread(painted, at, zoom, smooth=False)
    return blend(enlarge(picture, zoom), shown, covered & spread(found.done, at, zoom, False)[0], opacity)


def class_legend(found: OcclusionMap, colours: dict[int, str], names: Sequence[str]) -> dict[str, str]:
    """Colours by what they stand for: class and number of positions; those without their own colour as one."""
    count = {index: int((found.top_class[found.done] == index).sum()) for index in colours}
    own = {f"{names[i]} ({count[i]:,})": colour for i, colour in colours.items() if colour != OTHER}
    rest = [i for i, colour in colours.items() if colour == OTHER]
    return own | ({f"{len(rest):,} other classes ({sum(count[i] for i in rest):,})": OTHER} if rest else {})
