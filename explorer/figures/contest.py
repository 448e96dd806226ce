"""Accuracy of the networks that were trained alike, against what they cost: a plotly figure of their rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from explorer.errors import in_percent
from explorer.figures import units

GROUPS = {"families": "Families", "blocks": "Blocks in the same slots of AnyNet"}
COSTS = {
    "macs": "MACs",
    "params": "Parameters",
    "latency_1": "Latency of one picture (ms)",
    "latency_32": "Latency of 32 pictures (ms)",
}
_COLOURS = {"families": "#0072b2", "blocks": "#e69f00"}  # Okabe and Ito
_SYMBOLS = {"families": "circle", "blocks": "diamond"}
_CHOSEN, _CHOSEN_GROUND = "#d55e00", "#a84a00"
PICTURES = 2_000  # unseen ones, that each accuracy is of
_LEAST_ERROR = 0.5 / PICTURES  # where a network without an error stands
_Z = 1.959964  # of 95 %
_ACCURACIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


@dataclass(frozen=True)
class Entrant:
    """A network of the contest; `costs` by the names of COSTS, latencies in milliseconds."""

    preset: str
    title: str
    group: str
    accuracy: float
    costs: dict[str, float]

    @property
    def interval(self) -> tuple[float, float]:
        """Between which the true accuracy lies with 95 %: Wilson's interval for a share of PICTURES."""
        share, weight = self.accuracy, _Z**2 / PICTURES
        middle, half = share + weight / 2, _Z * math.sqrt(share * (1 - share) / PICTURES + weight / (4 * PICTURES))
        return max(0.0, (middle - half) / (1 + weight)), min(1.0, (middle + half) / (1 + weight))


def place(entrant: Entrant, others: Sequence[Entrant]) -> int:
    """1 + how many others are surely better: their intervals lie wholly above. Equal places are ties."""
    return 1 + sum(other.interval[0] > entrant.interval[1] for other in others)


def scatter(entrants: Sequence[Entrant], cost: str, chosen: str | None = None) -> go.Figure:
    """Accuracy over the logarithm of a cost, a point a network; the best for each cost as a line.

    Upwards the share of errors halves again and again, as most networks would else lie in one line at the top.
    """
    figure = go.Figure()
    front = best(entrants, cost)
    figure.add_scatter(
        x=[e.costs[cost] for e in front], y=[_error(e) for e in front], mode="lines", hoverinfo="skip",
        line={"color": "#8a8f98", "width": 1, "dash": "dot", "shape": "hv"}, name="Best for the cost",
    )  # fmt: skip
    for group, title in GROUPS.items():
        members = [e for e in entrants if e.group == group]
        if members:
            figure.add_scatter(**_points(members, cost), name=title, marker={
                "size": 10, "color": _COLOURS[group], "symbol": _SYMBOLS[group], "opacity": 0.85,
            })  # fmt: skip
    for entrant in entrants:
        if entrant.preset == chosen:
            _mark(figure, entrant, cost)
    figure.update_layout(
        height=440, margin={"l": 10, "r": 10, "t": 10, "b": 10}, xaxis_title=COSTS[cost],
        yaxis={
            "title": "Right on unseen pictures", "type": "log", "autorange": "reversed",
            "tickvals": [1 - a for a in _ACCURACIES],
            "ticktext": [in_percent(a, 1).replace(".0", "") for a in _ACCURACIES],
        },
        xaxis={"type": "log", **_ticks([e.costs[cost] for e in entrants])},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0.0},
    )  # fmt: skip
    return figure


def _mark(figure: go.Figure, entrant: Entrant, cost: str) -> None:
    """A ring around the chosen network, and its name on a ground that points behind it do not disturb."""
    x, y = entrant.costs[cost], _error(entrant)
    figure.add_scatter(
        x=[x], y=[y], mode="markers", hoverinfo="skip", showlegend=False,
        marker={"size": 18, "symbol": "circle-open", "color": _CHOSEN, "line": {"width": 3}},
    )  # fmt: skip
    figure.add_annotation(
        x=math.log10(x), y=math.log10(y), text=entrant.title, showarrow=True, arrowhead=0, arrowcolor=_CHOSEN,
        standoff=9, ax=0, ay=34, bgcolor=_CHOSEN_GROUND, borderpad=3, font={"color": "#ffffff"},
    )  # fmt: skip


def _error(entrant: Entrant) -> float:
    return max(1 - entrant.accuracy, _LEAST_ERROR)


def _ticks(values: Sequence[float]) -> dict[str, list[float] | list[str]]:
    """1, 2 and 5 of each power of ten that the values span, as people write them."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    at = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return {"tickvals": at, "ticktext": [units.count(int(v)) if v >= 10 else f"{v:g}" for v in at]}


_NAMES = ("Network", "Accuracy", "", "", "from", "to", "Preset")


def _points(members: Sequence[Entrant], cost: str) -> dict[str, object]:
    return {
        "x": [e.costs[cost] for e in members],
        "y": [_error(e) for e in members],
        "mode": "markers",
        "customdata": [
            (
                e.title,
                e.accuracy,
                units.count(int(e.costs["params"])),
                units.count(int(e.costs["macs"])),
                *e.interval,
                e.preset,
            )
            for e in members
        ],
        "meta": {"y": "Share of errors, as drawn", "customdata": _NAMES},
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]:.2%} right (%{customdata[4]:.2%} to "
        "%{customdata[5]:.2%})<br>%{customdata[2]} parameters<br>%{customdata[3]} MACs<extra></extra>",
        "unselected": {"marker": {"opacity": 0.85}},  # a click opens a network; it does not dim the others
    }


def best(entrants: Sequence[Entrant], cost: str) -> list[Entrant]:
    """Those that no other beats in accuracy at the same or a lower cost, cheapest first."""
    found: list[Entrant] = []
    for entrant in sorted(entrants, key=lambda e: (e.costs[cost], -e.accuracy)):
        if not found or entrant.accuracy > found[-1].accuracy:
            found.append(entrant)
    return found
