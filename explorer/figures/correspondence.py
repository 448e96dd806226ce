"""Correspondence as charts: hidden parts beside random places over the layers, and part by part."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.analysis.correspondence import LayerChange, PartChange
from explorer.analysis.mean import Mean
from explorer.errors import in_percent
from explorer.figures.layer_words import tick
from explorer.figures.layers import BLUE, ORANGE

SAME, ELSEWHERE = "the same part", "random places"
_CHANGE = "share of signs that differ"
_ROW_PX = 22


def depth_chart(found: Sequence[LayerChange]) -> go.Figure:
    """Both means over the layers, with their standard errors."""
    figure = go.Figure()
    for colour, name, means in _series(found):
        figure.add_scatter(
            x=[each.layer for each in found], y=[mean.mean for mean in means], name=name, mode="lines+markers",
            line={"color": colour}, error_y=_errors(means), hovertemplate="%{x}<br>%{y:.1%}<extra></extra>",
        )  # fmt: skip
    names = [each.layer for each in found]
    figure.update_xaxes(
        title="layer, from the image", type="category", tickvals=names, ticktext=[tick(name) for name in names]
    )
    figure.update_yaxes(title=_CHANGE, tickformat=".0%", rangemode="tozero")
    return figure.update_layout(_LOOK, height=300)


def parts_chart(found: Sequence[PartChange]) -> go.Figure:
    """One layer part by part, a row each; on top that whose changes are most alike, against random places."""
    rows = sorted(found, key=lambda each: each.random.mean - each.same.mean)
    figure = go.Figure()
    for colour, name, means in _series(rows):
        figure.add_scatter(
            x=[mean.mean for mean in means], y=[f"{each.name}: {each.part}" for each in rows], name=name,
            mode="markers", marker={"color": colour, "size": 8}, error_x=_errors(means), orientation="h",
            hovertemplate="%{y}<br>%{x:.1%}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title=_CHANGE, tickformat=".0%")
    figure.update_yaxes(title="part", type="category", dtick=1, range=[-0.5, len(rows) - 0.5])
    return figure.update_layout(_LOOK, height=110 + _ROW_PX * len(rows))


_LOOK = {"margin": {"l": 10, "r": 10, "t": 10, "b": 10}, "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.01}}


def _series(found: Sequence[LayerChange] | Sequence[PartChange]) -> list[tuple[str, str, list[Mean]]]:
    """Colour, name and values of both."""
    return [(BLUE, SAME, [each.same for each in found]), (ORANGE, ELSEWHERE, [each.random for each in found])]


def _errors(means: Sequence[Mean]) -> dict[str, object]:
    return {"array": [mean.error or 0.0 for mean in means], "thickness": 1.2, "width": 3}


def in_sentence(found: LayerChange) -> str:
    """What came out for a layer, as a sentence."""
    difference = found.difference
    said = (
        f"{in_percent(found.same.mean, 1)} of the signs against {in_percent(found.random.mean, 1)} with random places, "
        "a difference of "
        f"{100 * abs(difference.mean):.1f} ± {100 * (difference.error or 0.0):.1f} points over {difference.items} parts"
    )
    if difference.error is None or abs(difference.mean) <= 2 * difference.error:
        return f"In {found.layer}, changes by hidden parts differ from picture to picture as any do: {said}."
    less = "less" if difference.mean < 0 else "more"
    return f"In {found.layer}, changes by hidden parts differ {less} from picture to picture: {said}."
