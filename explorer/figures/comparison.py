"""Networks beside each other: what differs in words and rows, fields and costs over each other as plotly figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.analysis.alignment import Alignment, Correspondence, Difference, Fate
from explorer.analysis.depth import depth, depths
from explorer.analysis.structure import Analysis
from explorer.figures import layer_words, units
from explorer.figures.blocks import COLOURS
from explorer.figures.caveats import field_text
from explorer.figures.layers import DEPTH_AXIS, GRAY, curve, has_positions, stages
from explorer.figures.prediction import plotly_safe

FATES: dict[Fate, str] = {
    "changed": "changed", "added": "added", "removed": "removed", "follows": "follows", "same": "same"
}  # fmt: skip
DASHES = ("solid", "dash", "dot", "dashdot")  # so that one line is seen below another
_SHOWN = 2  # shapes and the like that are written out of several


@dataclass(frozen=True)
class Figure:
    """One figure of a network: in short, exactly, and how it differs from the reference's."""

    name: str
    text: str
    exact: str
    difference: str


def figures(now: Analysis, reference: Analysis) -> list[Figure]:
    """What a network costs and sees, with the differences from another; those are empty where there are none."""
    counts = (
        ("Parameters", now.params, reference.params, units.count, ""),
        ("MACs", now.macs, reference.macs, units.count, ""),
        ("Activations", now.activation_bytes, reference.activation_bytes, units.format_bytes, " bytes"),
        ("Peak memory", now.peak_bytes, reference.peak_bytes, units.format_bytes, " bytes"),
        ("On disk", now.weight_bytes, reference.weight_bytes, units.format_bytes, " bytes"),
        ("Depth", depth(now.graph), depth(reference.graph), str, " layers"),
        ("Layers", len(now.graph), len(reference.graph), str, " operations"),
    )
    found = [Figure(name, show(value), f"{value:,}{unit}", units.difference(value, old) or "")
             for name, value, old, show, unit in counts]  # fmt: skip
    return [*found, _field(now, reference)]


def _field(now: Analysis, reference: Analysis) -> Figure:
    own, other = now.receptive_field, reference.receptive_field
    text = field_text("whole image" if own.is_global else f"{units.pair(own.size)} px", now[now.head_layer].certainty)
    known = not (own.is_global or other.is_global)
    difference = (units.difference(own.size[0], other.size[0]) if known else None) or ""
    return Figure("Receptive field", text, f"of {now.head_layer}", difference)


def figures_row(analysis: Analysis) -> dict[str, int | str]:
    """The same figures of one network as numbers, with their units in the headings."""
    field = analysis.receptive_field
    return {
        "Parameters": analysis.params, "MACs": analysis.macs, "Activations (bytes)": analysis.activation_bytes,
        "Peak memory (bytes)": analysis.peak_bytes, "On disk (bytes)": analysis.weight_bytes,
        "Depth (layers)": depth(analysis.graph), "Layers": len(analysis.graph),
        "Receptive field (px)": "whole image" if field.is_global else units.pair(field.size),
    }  # fmt: skip


# -- words ------------------------------------------------------------------------------------------------------------


def summary(found: Alignment) -> str:
    """How many layers there are of each fate: 32 changed, 80 follow, 64 the same."""
    counts = found.counts
    said = [
        f"{counts[fate]:,} {word}" for fate, word in FATES.items() if counts[fate] and fate not in ("same", "follows")
    ]
    follow = [f"{counts['follows']:,} {'follow' if counts['follows'] > 1 else 'follows'}"] if counts["follows"] else []
    return ", ".join((*said, *follow, f"{counts['same']:,} the same"))


def in_words(row: Correspondence) -> str:
    """What became of a layer: "groups 1 → 32, channels 64 → 128"; of one that only follows, its shapes."""
    own = [difference for difference in row.differences if difference.own]
    return ", ".join(map(_said, own or row.differences))


def _said(difference: Difference) -> str:
    return f"{difference.what.replace('_', ' ')} {_value(difference.before)} → {_value(difference.after)}"


def _value(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if not isinstance(value, tuple):
        return str(value).replace("_", " ")
    if all(isinstance(part, tuple) for part in value):  # shapes
        texts = [units.shape(part) for part in value[:_SHOWN]]
        return " and ".join(texts) + (f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else "")
    if all(isinstance(part, str) for part in value):
        return " and ".join(value)
    return "×".join(map(str, value))


# -- rows -------------------------------------------------------------------------------------------------------------


def table(found: Alignment, reference: Analysis, other: Analysis, fates: Iterable[Fate]) -> list[dict[str, Any]]:
    """One row for each pair of layers of these fates, with what each has and the differences of its figures.

    Figures of a layer that one network lacks count as 0 there.
    """
    wanted = frozenset(fates)
    return [_row(row, reference, other) for row in found.rows if row.fate in wanted]


def _row(row: Correspondence, reference: Analysis, other: Analysis) -> dict[str, Any]:
    left = reference[row.left] if row.left is not None else None
    right = other[row.right] if row.right is not None else None
    params = [report.params if report else 0 for report in (left, right)]
    macs = [(report.macs or 0) if report else 0 for report in (left, right)]
    return {
        "reference": row.left,
        "other": row.right,
        "fate": FATES[row.fate],
        "change": in_words(row) or _operation(row, reference, other),
        "left output": units.shape(left.output_shape) if left else None,
        "right output": units.shape(right.output_shape) if right else None,
        "params": params[1],
        "params difference": params[1] - params[0],
        "macs": macs[1],
        "macs difference": macs[1] - macs[0],
    }


def _operation(row: Correspondence, reference: Analysis, other: Analysis) -> str:
    graph, name = (reference.graph, row.left) if row.left is not None else (other.graph, row.right)
    assert name is not None
    return layer_words.sentence(graph[name])


# -- figures over each other ------------------------------------------------------------------------------------------


def growth_over(networks: Mapping[str, Analysis], fields: str = "strict") -> go.Figure:
    """Height of the receptive field over depth, a line per network, "strict" or "local"; images' heights as lines."""
    figure = go.Figure()
    for (colour, _), dash, (name, analysis) in zip(COLOURS, DASHES, networks.items(), strict=False):
        shown = [layer for layer in analysis.layers if has_positions(layer)]
        points = curve(shown, depths(analysis.graph), fields) | {"marker": {"size": 4}}
        figure.add_scatter(**points, name=plotly_safe(name), line={"color": colour, "dash": dash})
    for height in sorted({analysis.graph.layers[0].output_shape[2] for analysis in networks.values()}):
        figure.add_hline(
            height, line={"color": GRAY, "dash": "dash", "width": 1}, annotation_text=f"image: {height} px",
            annotation_font_color=GRAY, annotation_position="top left",
        )  # fmt: skip
    figure.update_layout(
        xaxis_title=DEPTH_AXIS, yaxis_title="Receptive field (px)", height=380, showlegend=True,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
    )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    return figure


def costs_over(networks: Mapping[str, Analysis]) -> go.Figure:
    """Parameters and MACs of each stage, a bar per network, side by side."""
    found = {name: {stage.name: stage for stage in stages(analysis.layers)} for name, analysis in networks.items()}
    names = _merged([list(of_stage) for of_stage in found.values()])
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06,
                           subplot_titles=("Parameters", "MACs"))  # fmt: skip
    coloured = list(zip(COLOURS, found.items(), strict=False))
    for (colour, ink), (name, of_stage) in coloured[::-1]:  # bars of a group are drawn from below
        for column, (what, heading) in enumerate((("params", "Parameters"), ("macs", "MACs")), start=1):
            values = [getattr(of_stage[stage], what) if stage in of_stage else 0 for stage in names]
            figure.add_bar(
                x=values, y=names, orientation="h", marker_color=colour, name=plotly_safe(name), legendgroup=name,
                meta={"x": heading},
                showlegend=column == 1, text=[units.count(value) for value in values], textposition="auto",
                insidetextfont={"color": ink}, cliponaxis=False, row=1, col=column,
                hovertemplate="<b>%{y}</b><br>%{x:,} " + what + "<extra>%{fullData.name}</extra>",
            )  # fmt: skip
    figure.update_layout(
        barmode="group", height=140 + (22 * len(networks) + 20) * len(names), bargap=0.25,
        margin={"l": 10, "r": 10, "t": 60, "b": 10},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.08, "xanchor": "left", "x": 0,
                "traceorder": "reversed"},
    )  # fmt: skip
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1])
    figure.update_yaxes(title_text="Size of the maps", col=1)
    figure.update_xaxes(showticklabels=False)
    return figure


def _merged(lists: Sequence[Sequence[str]]) -> list[str]:
    """All names once, each after those that come before it in its own list, where that can be."""
    found: list[str] = []
    for names in lists:
        place = 0
        for name in names:
            if name in found:
                place = max(place, found.index(name) + 1)
            else:
                found.insert(place, name)
                place += 1
    return found
