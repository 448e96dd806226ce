"""How many pictures of one class were taken for another, as a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.figures.prediction import plotly_safe

MOST_NAMES = 40  # classes that are named at the sides


def confusion_figure(names: Sequence[str], counts: np.ndarray) -> go.Figure:
    """counts [truth, answer], in cividis; each cell says its number where there are few."""
    labels = [plotly_safe(name) for name in names]
    figure = go.Figure(go.Heatmap(
        z=counts, colorscale="Cividis", xgap=1, ygap=1, showscale=False, customdata=_said(labels, counts),
        meta={"z": "Pictures", "names": list(names)},
        hovertemplate="%{customdata}<extra></extra>", texttemplate="%{z}" if len(names) <= 15 else None,
    ))  # fmt: skip
    shown = labels if len(labels) <= MOST_NAMES else []
    figure.update_layout(
        height=max(260, min(700, 90 + 26 * len(names))), margin={"l": 0, "r": 0, "t": 8, "b": 0}, dragmode=False,
        xaxis_title="answer", yaxis_title="class",
    )  # fmt: skip
    ticks = {"tickvals": list(range(len(shown))), "ticktext": shown, "fixedrange": True, "showgrid": False}
    figure.update_xaxes(**ticks)
    figure.update_yaxes(**ticks, autorange="reversed")
    return figure


def _said(labels: Sequence[str], counts: np.ndarray) -> list[list[str]]:
    return [
        [f"{int(counts[r, c]):,} of {truth} taken for {answer}" for c, answer in enumerate(labels)]
        for r, truth in enumerate(labels)
    ]
