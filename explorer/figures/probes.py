"""How well each layer's features tell the classes apart, as points with their standard error (table 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from explorer.analysis.probes import LayerProbe
from explorer.figures.evolution import BELOW
from explorer.figures.layer_words import tick
from explorer.figures.layers import BLUE, ORANGE


def probe_chart(curves: Mapping[str, Sequence[LayerProbe]]) -> go.Figure:
    """A line for each of at most two networks by name: the accuracy over the layers from the image on."""
    figure = go.Figure()
    for colour, (name, probes) in zip((BLUE, ORANGE), curves.items(), strict=False):
        means = [probe.accuracy for probe in probes]
        figure.add_scatter(
            x=[f"{number} · {probe.layer}" for number, probe in enumerate(probes, start=1)],
            y=[mean.mean for mean in means], error_y={"array": [mean.error or 0.0 for mean in means]},
            customdata=[mean.error for mean in means], name=name, mode="lines+markers", line={"color": colour},
            meta={"customdata": ("standard error",)},
            hovertemplate="%{x}<br>%{y:.1%} ± %{customdata:.1%}<extra></extra>",
        )  # fmt: skip
    probes = next(iter(curves.values()), ())
    places = [tick(probe.layer) for probe in probes]
    figure.update_xaxes(
        title="layer", tickvals=[*range(len(places))], ticktext=[f"{n} · {name}" for n, name in enumerate(places, 1)]
    )
    figure.update_yaxes(title="right by a linear classifier", tickformat=".0%", range=[0, 1.03])
    return figure.update_layout(
        height=380, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend={**BELOW, "y": -0.35},
        showlegend=len(curves) > 1,
    )  # fmt: skip
