"""Receptive fields over the picture: what is seen, how much each pixel counts, which units a pixel reaches; growth."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from explorer.analysis.depth import depths
from explorer.analysis.structure import Analysis
from explorer.analysis.unproductive import OutgrownImage
from explorer.figures import layers
from explorer.figures.raster import Placement, blend, colourise, spread
from explorer.types import Box

DIM_SHARE = 0.62  # how much of the page's gray lies over what is not seen
_GRAY = (110, 112, 116)
REACHED = (240, 228, 66)  # Okabe and Ito's yellow
VERMILION = "#d55e00"
_HERE = "Unproductive at this size"


def marked_growth(analysis: Analysis, selected: str, outgrown: OutgrownImage, height: int = 170) -> go.Figure:
    """The growth of the field, with a cross on each convolution that sees all of the image before it begins."""
    figure, at = layers.growth(analysis, selected), depths(analysis.graph)
    marked = [analysis[name] for name in outgrown.unproductive]
    if marked:
        figure.add_scatter(
            x=[at[layer.id] for layer in marked], y=[layer.receptive_field.size[0] for layer in marked], mode="markers",
            marker={"symbol": "x", "size": 9, "color": VERMILION}, name=_HERE,
            customdata=[(layer.id,) for layer in marked],
            meta={"x": layers.DEPTH_AXIS, "y": layers.FIELD_AXIS, "customdata": ("Layer",)},
            hovertemplate="<b>%{customdata[0]}</b><br>its input sees all of the picture already<extra></extra>",
        )  # fmt: skip
    figure.update_traces(selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}})
    gates = bool(figure.layout.showlegend)  # pyright: ignore[reportAttributeAccessIssue]
    named = {_HERE, *(trace.name for trace in figure.data[:2] if gates)}  # pyright: ignore[reportAttributeAccessIssue]
    figure.for_each_trace(lambda trace: trace.update(showlegend=trace.name in named))
    figure.update_layout(
        height=height, dragmode=False, showlegend=bool(marked) or gates, hovermode="closest", xaxis_title=None,
        yaxis_title="Field (px)", margin={"l": 4, "r": 4, "t": 20, "b": 4},
    )  # fmt: skip
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(fixedrange=True)
    return figure


def seen(picture: np.ndarray, box: Box) -> np.ndarray:
    """The picture uint8 [H, W, 3], gray outside the box."""
    top, left, bottom, right = box
    outside = np.ones(picture.shape[:2], bool)
    outside[top:bottom, left:right] = False
    return _dulled(picture, outside)


def heat(picture: np.ndarray, mass: np.ndarray, opacity: float) -> np.ndarray:
    """How much each pixel counts, [H, W], in cividis over the picture, by the root of its share of the greatest; what
    counts nothing stays the picture, in gray."""
    strength = np.sqrt(mass / (mass.max() or 1.0))
    dull = _dulled(picture, np.ones(picture.shape[:2], bool))
    return blend(dull, colourise(strength, (0.0, 1.0)), np.minimum(1.0, 2 * strength), opacity)


def reached(picture: np.ndarray, mask: np.ndarray, at: Placement) -> np.ndarray:
    """The picture, gray but where the cells [rows, columns] of a map are reached: those in yellow."""
    shown, covered = spread(mask, at, 1, smooth=False)
    dull = _dulled(picture, np.ones(picture.shape[:2], bool))
    return blend(dull, np.full_like(picture, REACHED), shown & covered, 0.7)


def _dulled(picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    return blend(picture, np.full_like(picture, _GRAY), where, DIM_SHARE)
