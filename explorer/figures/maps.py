"""Feature maps as pictures and figures: small tiles, a grid in one picture, the histogram, vectors as bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from explorer.analysis.activations import Histogram
from explorer.figures.prediction import plotly_safe
from explorer.figures.raster import Range, colourise, enlarge, limits

TILE_PX = 112  # larger maps are made smaller for the grid
GAP_PX = 4
BARS = 300  # a vector with more units is drawn as an area

GRAY, BLUE = "#8a8f98", "#0072b2"


def tile(values: np.ndarray, scale: Range) -> np.ndarray:
    """One map [H, W] in colour, uint8 [h, w, 3], at most TILE_PX on its longer side."""
    coloured = colourise(values, scale)
    factor = TILE_PX / max(values.shape)
    if factor >= 1:
        return coloured
    height, width = (max(1, round(side * factor)) for side in values.shape)
    return np.array(Image.fromarray(coloured).resize((width, height), Image.Resampling.BOX))


def grid(maps: np.ndarray, ranges: Sequence[Range], columns: int = 6) -> np.ndarray:
    """Maps [C, H, W] beside each other in rows, uint8 [h, w, 4], clear between them."""
    zoom = max(1, TILE_PX // max(maps.shape[1:]))
    tiles = [enlarge(colourise(values, scale), zoom) for values, scale in zip(maps, ranges, strict=True)]
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    canvas = np.zeros((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 4), np.uint8)
    for i, picture in enumerate(tiles):
        top, left = i // columns * (height + GAP_PX), i % columns * (width + GAP_PX)
        canvas[top : top + height, left : left + width, :3] = picture
        canvas[top : top + height, left : left + width, 3] = 255
    return canvas


def above_each_other(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The maps [C, H, W] of two layers in two rows, uint8 [h, w, 4]; those of one channel have one range."""
    ranges = [limits(np.stack(pair)) for pair in zip(first, second, strict=True)]
    return grid(np.concatenate([first, second]), ranges * 2, columns=len(first))


def distribution(layer: Histogram, channel: np.ndarray | None = None, name: str = "") -> go.Figure:
    """How the values of a layer, and of one channel [H, W] of it, are spread: share of values per bin, log scale."""
    figure = go.Figure()
    figure.add_bar(**_steps(layer.counts, layer.edges), name="whole layer", marker_color=GRAY)
    if channel is not None:
        counts, _ = np.histogram(channel[np.isfinite(channel)], bins=layer.edges)
        figure.add_bar(**_steps(counts, layer.edges), name=name, marker_color=BLUE)
    figure.update_traces(hovertemplate="%{customdata}: %{y:.2%}<extra>%{fullData.name}</extra>")
    figure.update_layout(
        height=260, margin={"l": 0, "r": 0, "t": 8, "b": 0}, barmode="overlay", bargap=0, dragmode=False,
        xaxis_title="activation", yaxis_title="share of values", showlegend=channel is not None,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0},
    )  # fmt: skip
    figure.data[-1].opacity = 0.75 if channel is not None else 1  # pyright: ignore[reportAttributeAccessIssue]
    # A bar of a single value still has some height.
    lowest = np.log10(0.5 / max(layer.counts.sum(), 1))
    figure.update_yaxes(type="log", range=[lowest, 0.05], tickformat=".3~p", fixedrange=True, nticks=6)
    figure.update_xaxes(fixedrange=True)
    return figure


def _steps(counts: np.ndarray, edges: np.ndarray) -> dict[str, object]:
    return {
        "x": (edges[1:] + edges[:-1]) / 2,
        "y": counts / max(counts.sum(), 1),
        "width": np.diff(edges),
        "customdata": [f"{low:.3g} to {high:.3g}" for low, high in zip(edges, edges[1:], strict=False)],
        "meta": {"x": "Middle of the bin", "y": "Share of values", "customdata": ("Activation",)},
        "marker_line_width": 0,
    }


def vector(values: np.ndarray, names: Sequence[str] | None = None, chosen: int | None = None) -> go.Figure:
    """The outputs [C] of a layer without positions, over their number; names, where they are classes."""
    at = np.arange(len(values))
    shown = np.where(np.isfinite(values), values, np.nan)
    labels = [plotly_safe(name) for name in names] if names else [f"unit {i}" for i in at]
    common = {"x": at, "y": shown, "customdata": labels, "hovertemplate": "%{customdata}: %{y:.4g}<extra></extra>",
              "meta": {"x": "Unit", "y": "Activation", "customdata": ("Class" if names else "",)}}  # fmt: skip
    figure = go.Figure()
    if len(values) <= BARS:
        colours = [BLUE if i == chosen else GRAY for i in at]
        figure.add_bar(**common, marker_color=colours)
    else:
        figure.add_scatter(**common, mode="lines", line={"shape": "hvh", "width": 1, "color": GRAY}, fill="tozeroy")
        if chosen is not None and np.isfinite(values[chosen]):
            figure.add_scatter(x=[chosen], y=[values[chosen]], mode="markers", marker={"size": 10, "color": BLUE},
                               hoverinfo="skip")  # fmt: skip
    figure.update_layout(
        height=320, margin={"l": 0, "r": 0, "t": 8, "b": 0}, showlegend=False, dragmode=False,
        xaxis_title=None if names else "unit", yaxis_title="activation", bargap=0.15,
    )  # fmt: skip
    if names and len(names) <= 40:
        figure.update_xaxes(tickvals=at, ticktext=labels)
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(fixedrange=True)
    return figure
