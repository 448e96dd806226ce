"""Blocks side by side as one chart: what each costs and takes, relative to the first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from explorer.analysis.latency import Latency
from explorer.figures import units

WHITE, INK = "#ffffff", "#1c2733"
COLOURS = (("#0072b2", WHITE), ("#e69f00", INK), ("#009e73", INK), ("#cc79a7", INK))  # Okabe and Ito; text on them
WIDE = 6  # so many bars are wide enough for their figures
FAR = 20.0  # from here on the axis is logarithmic: a small bar would not be seen beside a large one


@dataclass(frozen=True)
class Bar:
    """One figure of one block, as a person reads it and in full; spread: what it may be more or less by.

    value, spread: in `unit`. is_firm: whether it can be set over that of another block, and drawn.
    """

    value: float
    text: str
    detail: str = ""
    unit: str = ""
    spread: float = 0.0
    is_firm: bool = True

    def over(self, base: Bar) -> str:
        """How many times that of another block: 1.02×."""
        return f"{self.value / base.value:,.2f}×" if base.value and self.is_firm and base.is_firm else ""


def timed_bar(found: Latency) -> Bar:
    """A measured time: the median; where half of the passes lie far apart, only between what."""
    if found.is_steady:
        text = units.milliseconds(found.median_s, found.spread_s)
    else:
        text = units.unsteady(found.low_s, found.high_s)
    return Bar(found.median_s, text, f"median of {found.passes:,} passes,", "s", found.spread_s, found.is_steady)


def bar_rows(blocks: Mapping[str, Sequence[Bar | None]], figures: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each figure of each block that is known, in its own unit."""
    return [
        {"Block": name, "Figure": figure, "Value": bar.value, "Unit": bar.unit, "Spread": bar.spread}
        for name, bars in blocks.items() for figure, bar in zip(figures, bars, strict=True) if bar
    ]  # fmt: skip


_ACROSS: dict[str, Any] = {"textangle": 0, "insidetextanchor": "end"}
_UPWARDS: dict[str, Any] = {"textangle": -90, "insidetextanchor": "start"}
_POINT = {"x": "Figure", "y": "Over the first", "customdata": ("", "", "Value", "Unit")}


def relative(blocks: Mapping[str, Sequence[Bar | None]], figures: Sequence[str]) -> go.Figure:
    """Bars of each figure over the first block's, one colour per block; None is left out.

    blocks: per block one Bar for each of `figures`. A figure without a firm value of the first block is left out.
    """
    first, *_ = blocks.values()
    shown = [i for i, bar in enumerate(first) if bar and bar.is_firm and bar.value > 0]
    figure, ratios = go.Figure(), [1.0]
    text = _ACROSS if len(blocks) * len(shown) <= WIDE else _UPWARDS
    for (colour, ink), (name, bars) in zip(COLOURS, blocks.items(), strict=False):
        pairs = [(figures[i], bars[i], first[i]) for i in shown]
        known = [(title, bar, base) for title, bar, base in pairs if bar and bar.is_firm and base]
        over = [bar.value / base.value for _, bar, base in known]
        ratios += [ratio for ratio in over if ratio > 0]
        figure.add_bar(
            name=name, marker_color=colour, x=[title for title, _, _ in known], y=over,
            text=[bar.over(base) for _, bar, base in known],
            error_y={"array": [bar.spread / base.value for _, bar, base in known], "thickness": 1.5, "width": 0},
            customdata=[(bar.text, bar.detail, bar.value, bar.unit) for _, bar, _ in known],
            meta=_POINT, textposition="auto", **text, insidetextfont={"color": ink}, cliponaxis=False,
            hovertemplate="<b>%{x}</b><br>%{customdata[0]} (%{customdata[1]} %{customdata[3]})<br>%{text} the first"
            "<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    _lay_out(figure, ratios)
    return figure


def _lay_out(figure: go.Figure, ratios: list[float]) -> None:
    figure.add_hline(1, line={"color": "#8a8f98", "dash": "dot", "width": 1})
    figure.update_layout(
        barmode="group", height=330, bargap=0.25, margin={"l": 10, "r": 10, "t": 30, "b": 10}, showlegend=True,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.08, "x": 0},
    )  # fmt: skip
    if max(ratios) > FAR * min(ratios):
        ends = [math.log10(min(ratios)) - 0.3, math.log10(max(ratios)) + 0.2]  # the least bar has a height too
        figure.update_yaxes(type="log", dtick=1, range=ends, title_text="Over the first (log)")
    else:
        figure.update_yaxes(rangemode="nonnegative", title_text="Over the first")
