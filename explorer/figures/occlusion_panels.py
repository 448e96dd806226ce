"""Figure 7 as one picture: the five panels side by side, under their letters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from explorer.analysis.occlusion_panels import OcclusionPanels
from explorer.figures import occlusion as figures
from explorer.figures import way_back
from explorer.figures.raster import enlarge, zoom_of
from explorer.images.preprocess import Preprocessing
from explorer.types import Box

_OPACITY = 0.6  # of a map over the picture
_GAP_PX, _HEAD_PX = 24, 44


def panels_picture(found: OcclusionPanels, picture: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """(a) the square where the class falls lowest, (b) the map's sum, (c) projections, (d) probability, (e) answers.

    picture: uint8 [H, W, 3], as the network sees it by this preprocessing. The projections need not be there.
    """
    occlusion, colours = found.occlusion, figures.class_colours(found.occlusion)
    at = figures.placement(occlusion, (picture.shape[0], picture.shape[1]))

    def over(values: np.ndarray, baseline: float | None) -> np.ndarray:
        return figures.over(
            picture, values, occlusion.done, at, figures.scale(values, baseline), _OPACITY, smooth=False
        )

    zoom = zoom_of(at.size)
    panels = [
        _framed(enlarge(picture, zoom), occlusion.box(*occlusion.lowest), zoom),
        over(*occlusion.activation_of(found.channel)),
        _projections(found, enlarge(picture, zoom), preprocessing),
        over(occlusion.probability, occlusion.baseline),
        figures.classes(picture, occlusion, colours, at, _OPACITY),
    ]
    titles = ("a  picture", f"b  sum of map {found.channel}", f"c  map {found.channel} projected", "d  probability",
              "e  most probable class")  # fmt: skip
    return _row(panels, titles)


def _framed(picture: np.ndarray, box: Box, zoom: int) -> np.ndarray:
    image = Image.fromarray(picture)
    top, left, bottom, right = (edge * zoom for edge in box)
    draw = ImageDraw.Draw(image)
    draw.rectangle((left, top, right - 1, bottom - 1), outline="black", width=5)
    draw.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline="white", width=2)
    return np.array(image)


def _projections(found: OcclusionPanels, like: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Four in a square of the size of a panel, this picture's first; white where there are fewer."""
    canvas, half = np.full_like(like, 255), (like.shape[0] // 2 - 4, like.shape[1] // 2 - 4)
    shown = [found.projection, *(other.projection for other in found.others)]
    for place, projection in enumerate(each for each in shown if each is not None):
        row, column = divmod(place, 2)
        pixels = way_back.pixels(way_back.in_picture_colours(projection, preprocessing))
        small = np.array(Image.fromarray(pixels).resize(half[::-1], Image.Resampling.NEAREST))
        top, left = row * (like.shape[0] - half[0]), column * (like.shape[1] - half[1])
        canvas[top : top + half[0], left : left + half[1]] = small
    return canvas


def _row(panels: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    height, width = panels[0].shape[:2]
    canvas = Image.new("RGB", ((width + _GAP_PX) * len(panels) - _GAP_PX, height + _HEAD_PX), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_HEAD_PX // 2)
    for place, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = place * (width + _GAP_PX)
        draw.text((left, _HEAD_PX // 5), title, fill="black", font=font)
        canvas.paste(Image.fromarray(panel), (left, _HEAD_PX))
    return np.array(canvas)
