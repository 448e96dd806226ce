"""The receptive field: how it grows through the network, and what one unit sees of the picture."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.figures import layers, overlay, units
from explorer.ui import state, theme
from explorer.ui.session import Session
from explorer.views.workbench.notes import warn_of_fields


def render(session: Session) -> None:
    """Draw the curve of growth, and the box of the chosen unit on the picture."""
    st.plotly_chart(layers.growth(session.analysis, session.layer), key="growth", config=theme.PLAIN)
    names = [layer.id for layer in session.analysis.layers if layers.has_positions(layer)]
    chosen = session.layer if session.layer in names else names[-1]  # the input, if no other
    state.keep(st.selectbox, "layer", "Layer", chosen, lambda name: state.put("layer", name), options=names)
    report = session.analysis[chosen]
    rows, columns = report.output_shape[2:]
    picture, controls = st.columns([3, 2], gap="medium")
    with controls:
        row, column = _position("row", rows), _position("column", columns)
        top, left, bottom, right = box = report.receptive_field.box(row, column)
        st.caption(_explain(report, (row, column), box))
    picture.image(overlay.boxed(session.view, box), width="stretch",
                  alt=f"Rows {top} to {bottom}, columns {left} to {right} of the picture")  # fmt: skip
    warn_of_fields(session.analysis)


def _position(name: str, size: int) -> int:
    """The chosen row or column of the map, its middle where none is chosen."""
    chosen = state.get(name)
    position = chosen if 0 <= chosen < size else size // 2
    if size > 1:
        state.keep(st.slider, name, name.capitalize(), position, lambda value: state.put(name, value),
                   min_value=0, max_value=size - 1)  # fmt: skip
    return position


def _explain(report: Any, unit: tuple[int, int], box: tuple[int, int, int, int]) -> str:
    top, left, bottom, right = box
    rows, columns = report.output_shape[2:]
    field = report.receptive_field
    sees = {"exact": "sees", "bounded": "sees at most", "unknown": "may see"}[report.certainty]
    clipped = (bottom - top, right - left) != field.size and not field.is_global
    return (
        f"The unit at row {unit[0]}, column {unit[1]} of the {rows} × {columns} map {sees} "
        f"{units.pair(field.size)} px: rows {top} to {bottom - 1}, columns {left} to {right - 1}"
        + (" (the rest lies in the padding). " if clipped else ". ")
        + f"Neighbours are {units.pair(field.stride)} px apart."
    )
