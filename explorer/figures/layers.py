"""Receptive field over depth, and parameters and MACs by stage: plotly figures of an Analysis.

Fonts, backgrounds and the order of colours come from the page's theme.
"""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.analysis.depth import depths
from explorer.analysis.structure import Analysis, LayerReport
from explorer.figures import units
from explorer.types import Shape

BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"  # Okabe and Ito
GRAY = "#8a8f98"
DEPTH_AXIS, FIELD_AXIS = "Depth (layers with weights)", "Receptive field (px)"
HEAD, TOKENS = "head", "tokens"


@dataclass(frozen=True)
class Stage:
    """Layers whose maps have the same height and width; "tokens" for sequences, "head" for those without positions."""

    name: str
    params: int
    macs: int
    layers: int


def stages(layers: tuple[LayerReport, ...]) -> list[Stage]:
    """Sums over the layers of each map size, in order of appearance."""
    found: dict[str, list[LayerReport]] = {}
    sizes = {layer.output_shape[2:] for layer in layers if has_positions(layer)} - {(1, 1)}
    for layer in layers:
        if layer.kind != "input":
            found.setdefault(_stage(layer.output_shape, sizes), []).append(layer)
    return [
        Stage(name, sum(layer.params for layer in members), sum(layer.macs or 0 for layer in members), len(members))
        for name, members in found.items()
        if any(layer.params or layer.macs for layer in members)
    ]


def _stage(shape: Shape, sizes: set[Shape]) -> str:
    """By the sizes that maps have: a map is [N, C, H, W], or [N, H, W, C] within a block."""
    places = (shape[2:], shape[1:3]) if len(shape) == 4 else (shape[2:],)
    for size in places:
        if size in sizes:
            return f"{size[0]} × {size[1]}"
    return HEAD if any(max(size, default=1) == 1 for size in places) else TOKENS


def has_positions(layer: LayerReport) -> bool:
    """Whether the output is a map whose units see different parts of the image."""
    return layer.is_map and not layer.local_receptive_field.is_global


def growth(analysis: Analysis, selected: str | None = None) -> go.Figure:
    """Height of the receptive field after each layer over depth in weighted layers; the image's height as a line."""
    at = depths(analysis.graph)
    shown = [layer for layer in analysis.layers if has_positions(layer)]
    figure = go.Figure()
    figure.add_scatter(**curve(shown, at, "local"), name="Local (without gates)", line={"color": ORANGE, "dash": "dot"})
    figure.add_scatter(**curve(shown, at, "strict"), name="Strict", line={"color": BLUE})
    differs = any(layer.receptive_field.size != layer.local_receptive_field.size for layer in shown)
    figure.data[0].visible = differs
    height = analysis.graph.layers[0].output_shape[2]
    figure.add_hline(height, line={"color": GRAY, "dash": "dash", "width": 1}, annotation_text=f"image: {height} px",
                     annotation_font_color=GRAY, annotation_position="top left")  # fmt: skip
    for layer in shown:
        if layer.id == selected:
            figure.add_scatter(
                x=[at[layer.id]], y=[layer.receptive_field.size[0]], mode="markers", hoverinfo="skip",
                marker={"size": 15, "symbol": "circle-open", "line": {"width": 3}, "color": ORANGE}, name=layer.id,
            )  # fmt: skip
    figure.update_layout(
        xaxis_title=DEPTH_AXIS, yaxis_title=FIELD_AXIS, height=340,
        margin={"l": 10, "r": 10, "t": 24, "b": 10}, showlegend=differs,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0},
    )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    return figure


def curve(layers: list[LayerReport], at: dict[str, int], which: str) -> dict[str, object]:
    """Points of a scatter: height of each layer's "strict" or "local" field over its depth `at`, by layer id."""
    fields = [layer.receptive_field if which == "strict" else layer.local_receptive_field for layer in layers]
    return {
        "x": [at[layer.id] for layer in layers],
        "y": [field.size[0] for field in fields],
        "mode": "lines+markers",
        "marker": {"size": 6},
        "meta": {"x": DEPTH_AXIS, "y": FIELD_AXIS, "customdata": ("Layer", "Kind", "Field (px)", "Stride (px)")},
        "customdata": [
            (layer.id, layer.kind, units.pair(field.size), units.pair(field.stride))
            for layer, field in zip(layers, fields, strict=True)
        ],
        "hovertemplate": "<b>%{customdata[0]}</b> (%{customdata[1]})<br>sees %{customdata[2]} px"
        "<br>stride %{customdata[3]} px<extra></extra>",
    }


def costs(analysis: Analysis) -> go.Figure:
    """Parameters and MACs of each stage as bars, side by side."""
    found = stages(analysis.layers)[::-1]
    names = [stage.name for stage in found]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06,
                           subplot_titles=("Parameters", "MACs"))  # fmt: skip
    bars = (("params", "Parameters", BLUE), ("macs", "MACs", ORANGE))
    for column, (what, heading, color) in enumerate(bars, start=1):
        values = [getattr(stage, what) for stage in found]
        texts = [units.count(value) for value in values]
        figure.add_bar(
            x=values, y=names, orientation="h", marker_color=color, text=texts, textposition="auto", row=1, col=column,
            customdata=[stage.layers for stage in found], cliponaxis=False,
            meta={"x": heading, "customdata": ("Layers",)},
            hovertemplate="<b>%{y}</b><br>%{x:,} " + what + "<br>%{customdata} layers<extra></extra>",
        )  # fmt: skip
    figure.update_layout(height=120 + 44 * len(found), showlegend=False, bargap=0.35,
                         margin={"l": 10, "r": 10, "t": 40, "b": 10})  # fmt: skip
    figure.update_yaxes(type="category", title_text="Size of the maps", col=1)
    figure.update_xaxes(showticklabels=False)
    return figure
