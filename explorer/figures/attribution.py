"""Attributions and projections as pictures: signed maps in a diverging colour map, signals as an image around gray."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.colors import diverging
from torch import Tensor

from explorer.figures.raster import enlarge, zoom_of

# From negative over nothing to positive; Brewer's purple and orange, which the colour-blind tell apart.
_STOPS = np.array([[int(part) for part in colour[4:-1].split(",")] for colour in diverging.PuOr[::-1]])
_GREATEST = 99.5  # percentile of the magnitudes that has the full colour: one pixel alone does not set the scale
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#7b5aa6", "#d55e00", "#8a8f98")


def strength(values: np.ndarray) -> float:
    """The magnitude of a map [H, W] that gets the full colour; 1 for a map of zeros."""
    magnitudes = np.abs(values)
    return float(np.percentile(magnitudes, _GREATEST) or magnitudes.max() or 1.0)


def signed(values: np.ndarray, greatest: float) -> np.ndarray:
    """A map [H, W] in colour, uint8 [H, W, 3]: white at 0, orange at `greatest`, purple at its negative."""
    share = (values.astype(np.float64) / greatest).clip(-1, 1) * 0.5 + 0.5
    at = np.linspace(0, 1, len(_STOPS))
    channels = [np.interp(share, at, _STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def over_picture(picture: np.ndarray, values: np.ndarray, greatest: float) -> np.ndarray:
    """A map over the grayed picture uint8 [H, W, 3], enlarged: the stronger a value, the more of it is seen."""
    gray = picture.astype(np.float64).mean(-1, keepdims=True) * 0.6 + 255 * 0.4
    share = (np.abs(values) / greatest).clip(0, 1)[..., None]
    mixed = gray + (signed(values, greatest) - gray) * share**0.7
    zoom = zoom_of((picture.shape[0], picture.shape[1]))
    return enlarge(mixed.round().astype(np.uint8), zoom)


def signal_picture(signal: Tensor) -> np.ndarray:
    """A signal [C, H, W] as an image, uint8 [h, w, 3], enlarged: gray is none, and the greatest magnitude is full."""
    values = signal.detach().float().cpu().numpy()
    values = values if len(values) == 3 else values.mean(0, keepdims=True).repeat(3, 0)
    shown = (0.5 + 0.5 * (values / strength(values)).clip(-1, 1)).transpose(1, 2, 0)
    zoom = zoom_of((values.shape[1], values.shape[2]))
    return enlarge((shown * 255).round().astype(np.uint8), zoom)


def curves(by_name: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> go.Figure:
    """Probabilities over the share of pixels, one line a method: (shares, probabilities) by name."""
    figure = go.Figure()
    for number, (name, (shares, probabilities)) in enumerate(by_name.items()):
        figure.add_scatter(
            x=shares, y=probabilities, mode="lines", name=name, meta={"x": f"{title} (share)"},
            line={"width": 2, "color": LINES[number % len(LINES)], "dash": "solid" if number < len(LINES) else "dot"},
            hovertemplate="%{x:.0%} of the pixels: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_layout(
        height=300, margin={"l": 0, "r": 16, "t": 8, "b": 0}, dragmode=False, xaxis_title=title,
        yaxis_title="probability", legend={"orientation": "h", "yanchor": "bottom", "y": 1.0},
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", dtick=0.25, range=[0, 1], fixedrange=True)
    figure.update_yaxes(rangemode="tozero", fixedrange=True)
    return figure
