"""Charts and small tables of the page, each with a quiet line of files below: CSV, and of a chart SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from explorer.figures.rows import chart_rows, csv_text
from explorer.ui import components, state

_PLAIN = {"displayModeBar": False}  # Plotly's own bar of buttons covers the chart


def chart(figure: go.Figure, key: str, **selecting: Any) -> None:
    """Draw a plotly figure; selecting: what `st.plotly_chart` takes for clicks on its points."""
    with st.container(key=f"chart {key}", gap=None):
        st.plotly_chart(figure, key=key, config=_PLAIN, **selecting)
        _files(key, chart_rows(figure), drawn=True)


def table(columns: Mapping[str, Sequence[str]], key: str, rows: Sequence[Mapping[str, Any]], **look: Any) -> None:
    """Draw a small table of texts in Markdown; rows: the same in numbers, for the file; look: as `st.table` takes."""
    with st.container(key=f"table {key}", gap=None):
        st.table(columns, border="horizontal", hide_index=True, **look)
        _files(key, rows, drawn=False)


def _files(key: str, rows: Sequence[Mapping[str, Any]], drawn: bool) -> None:
    name = f"{state.get('preset')} {key}".replace(":", " ").replace(" ", "_")
    components.downloads(key, name, csv_text(rows), drawn=drawn, key=f"files {key}")
