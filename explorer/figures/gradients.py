"""The gradient that arrives at each layer over depth, of one network or several, as a plotly figure."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from explorer.analysis.gradient_flow import GradientNorm, ratio
from explorer.figures.layers import BLUE, GREEN, ORANGE

CURVE_COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#d55e00")  # Okabe and Ito


def gradient_chart(curves: Mapping[str, tuple[GradientNorm, ...]]) -> go.Figure:
    """One line for each network, by name: the norm on a logarithmic axis over the layers in order of execution."""
    figure = go.Figure()
    for colour, (name, norms) in zip(CURVE_COLOURS, curves.items(), strict=False):
        figure.add_scatter(
            x=list(range(1, len(norms) + 1)), y=[one.norm for one in norms], customdata=[one.path for one in norms],
            name=name, mode="lines", meta={"x": "Place", "customdata": ("Layer",)}, line={"color": colour},
            hovertemplate="%{customdata}<br>%{y:.3g}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="convolution or linear layer, from the image")
    figure.update_yaxes(title="norm of the gradient", type="log", exponentformat="power", dtick=1)
    return figure.update_layout(
        height=320, margin={"l": 10, "r": 10, "t": 10, "b": 10}, showlegend=len(curves) > 1,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02},
    )  # fmt: skip


def gradient_sentence(norms: tuple[GradientNorm, ...]) -> str:
    """How the gradient at the first layer compares with that at the last."""
    times = ratio(norms)
    if times >= 1:
        return f"The gradient at {norms[0].path} is {times:,.3g} times that at {norms[-1].path}."
    return f"The gradient at {norms[0].path} is a {1 / times:,.3g}th of that at {norms[-1].path}."
