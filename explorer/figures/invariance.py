"""How far features and the answer change as a picture moves, as curves with their standard error (figure 5)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from explorer.analysis.equivariance import Equivariance
from explorer.analysis.invariance import Invariance
from explorer.analysis.mean import Mean
from explorer.analysis.moving import UNITS, Move
from explorer.errors import in_percent
from explorer.figures.evolution import BELOW
from explorer.figures.layers import ORANGE
from explorer.figures.raster import CIVIDIS

MOVE_TITLES: dict[Move, str] = {
    "vertical": "Vertical shift", "horizontal": "Horizontal shift", "scale": "Scale", "rotation": "Rotation",
}  # fmt: skip
ROUNDED = 1e-5  # differences up to this share of the greatest value are rounding


def distance_chart(found: Invariance) -> go.Figure:
    """A line a layer, dark near the image, bright near the classes, each with a band of one standard error."""
    figure, count = go.Figure(), max(1, len(found.layers) - 1)
    for number, layer in enumerate(found.layers):
        (colour,) = sample_colorscale(CIVIDIS, [0.42 + 0.48 * number / count])
        _curve(figure, found, found.distance_means(layer), layer, str(colour))
    figure.update_yaxes(title="distance / length of the features", rangemode="tozero")
    return _laid_out(figure, found)


def probability_chart(found: Invariance) -> go.Figure:
    """The mean probability of the pictures' classes, with a band of one standard error."""
    figure = go.Figure()
    _curve(figure, found, found.probability_means(), "probability", ORANGE)
    figure.update_yaxes(title="probability of the class", range=[0, 1.03])
    return _laid_out(figure, found).update_layout(showlegend=False)


def _curve(figure: go.Figure, found: Invariance, means: Sequence[Mean], name: str, colour: str) -> None:
    values, errors = [mean.mean for mean in means], [mean.error or 0.0 for mean in means]
    band = [value + error for value, error in zip(values, errors, strict=True)]
    below = [value - error for value, error in zip(values, errors, strict=True)]
    figure.add_scatter(
        x=[*found.amounts, *reversed(found.amounts)], y=[*band, *reversed(below)], fill="toself", fillcolor=colour,
        opacity=0.2, line={"width": 0}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=found.amounts, y=values, customdata=errors, name=name, mode="lines+markers", line={"color": colour},
        meta={"customdata": ("standard error",)},
        hovertemplate=f"{name}<br>%{{y:.3f}} ± %{{customdata:.3f}}<extra></extra>",
    )  # fmt: skip


def _laid_out(figure: go.Figure, found: Invariance) -> go.Figure:
    figure.update_xaxes(title=f"{MOVE_TITLES[found.move].lower()}, {UNITS[found.move]}")
    return figure.update_layout(height=340, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend=BELOW)


def amount_words(move: Move, amount: float) -> str:
    """An amount as people write it: "+4 px", "×1.3", "45°"."""
    if move == "scale":
        return f"×{amount:g}"
    return f"{amount:g}°" if move == "rotation" else f"{amount:+g} px" if amount else "0 px"


def equivariance_words(found: Equivariance) -> str:
    """What a shift did to a layer's maps, in a sentence."""
    if found.error is None:
        return "no unit stays within the picture"
    return "the same, moved" if found.error < ROUNDED else f"differ by {in_percent(found.error)}"
