"""What a chart shows as rows of a table, with the units in the headings, and rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from typing import Any

import numpy as np
import plotly.graph_objects as go

_Row = dict[str, Any]


def chart_rows(figure: go.Figure) -> list[_Row]:
    """A row for each point of a plotly figure, under the titles of its axes.

    A trace's `meta` may name what its axes do not: `x`, `y` and `z`, as `customdata` the columns of that, and as
    `names` those of a heatmap's rows and columns; what has no name there is left out. What cannot be pointed at, as
    the ring around a point, is no data.
    """
    rows: list[_Row] = []
    places: dict[Any, _Row] = {}
    shown = [trace for trace in figure.data if trace.hoverinfo != "skip" and trace.visible is not False]
    for trace in shown:
        series = {"Series": unescape(trace.name)} if trace.name and len(shown) > 1 else {}
        for key, values in _points(figure, trace):
            row = places.get((trace.name, key))
            if row is None or values.keys() & row.keys() - _alike(row, values):
                row = {**series}
                rows.append(row)
                places[trace.name, key] = row
            row.update(values)
    return rows


def _alike(row: _Row, values: _Row) -> set[str]:
    """The columns in which both say the same: a second figure of a point stands beside the first."""
    return {name for name in row.keys() & values.keys() if row[name] == values[name]}


def _points(figure: go.Figure, trace: Any) -> Iterator[tuple[Any, _Row]]:
    """What each point is found again by, and its row."""
    heading = _headings(figure, trace)
    if trace.type == "heatmap":
        yield from _cells(trace, heading)
        return
    names = (trace.meta or {}).get("customdata", ())
    custom = trace.customdata if names and trace.customdata is not None else [()] * len(trace.x)
    for x, y, extra in zip(trace.x, trace.y, custom, strict=True):
        values = extra if isinstance(extra, list | tuple | np.ndarray) else (extra,)
        said = [*zip(names, values, strict=True), (heading["x"], x), (heading["y"], y)]
        yield (y if trace.orientation == "h" else x), {name: _plain(value) for name, value in said if name}


def _cells(trace: Any, heading: Mapping[str, str]) -> Iterator[tuple[Any, _Row]]:
    names = trace.meta["names"]
    for row, values in enumerate(trace.z):
        for column, value in enumerate(values):
            cell = {heading["y"]: names[row], heading["x"]: names[column], heading["z"]: _plain(value)}
            yield (row, column), cell


def _headings(figure: go.Figure, trace: Any) -> dict[str, str]:
    axes: Mapping[str, Any] = {"x": figure.layout["xaxis"], "y": figure.layout["yaxis"]}
    titles = {name: axis.title.text or name for name, axis in axes.items()}
    return titles | {name: said for name, said in (trace.meta or {}).items() if name in ("x", "y", "z")}


def _plain(value: Any) -> Any:
    """A number of numpy's, or a name that was made safe for Plotly, as it was."""
    value = value.item() if hasattr(value, "item") else value
    return unescape(value) if isinstance(value, str) else value


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV (RFC 4180), under all columns that any of them has; None is an empty cell."""
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
