"""The table of layers; its chosen row is the chosen layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from explorer.analysis.structure import Analysis, LayerReport
from explorer.figures import units
from explorer.figures.caveats import field_text
from explorer.ui import metrics
from explorer.ui.session import Session
from explorer.views.workbench import selection
from explorer.views.workbench.notes import outgrown, warn_of_fields


def render(session: Session) -> None:
    """Draw one row for each layer."""
    measured, beyond = metrics.metrics(session), _beyond(session)
    rows = [_table_row(session.analysis, report, measured, beyond) for report in session.analysis.layers]
    key = f"layers {session.key[0]}"
    place = next(i for i, row in enumerate(rows) if row["Layer"] == session.layer)
    st.dataframe(
        rows, key=key, hide_index=True, height=620, selection_mode="single-row", column_config=_COLUMNS,
        on_select=lambda: _select(key, rows), selection_default={"selection": {"rows": [place]}},
    )  # fmt: skip
    st.caption(f"Chosen: **{session.layer}**. Select a row to choose its layer in all views.")
    warn_of_fields(session.analysis)


def _select(key: str, rows: list[dict[str, Any]]) -> None:
    if chosen := st.session_state[key].selection.rows:
        selection.choose(rows[chosen[0]]["Layer"])


def _beyond(session: Session) -> dict[str, str]:
    """What the field of a layer says of it, by its id, where that is larger than the picture."""
    found = outgrown(session)
    return {**dict.fromkeys(found.exceeding, "exceeded"), **dict.fromkeys(found.unproductive, "unproductive")}


def _table_row(
    analysis: Analysis, report: LayerReport, measured: metrics.LayerMetrics, beyond: Mapping[str, str]
) -> dict[str, Any]:
    window, field = analysis.graph[report.id].window, report.receptive_field
    return {
        "Layer": report.id,
        "Kind": report.kind.replace("_", " "),
        "Output": units.shape(report.output_shape),
        "Window": f"{units.pair(window.kernel)} / {units.pair(window.stride)}" if window else "",
        "Parameters": report.params,
        "MACs": report.macs,
        "Field (px)": field_text("whole image" if field.is_global else units.pair(field.size), report.certainty),
        **({"Picture": beyond.get(report.id, "")} if beyond else {}),
        **{name: figures.get(report.id) for name, figures in measured.items()},
    }


_COLUMNS = {
    "Layer": st.column_config.TextColumn(width=140, pinned=True),
    "Window": st.column_config.TextColumn(help="Kernel / stride, in positions of the layer's input."),
    "Parameters": st.column_config.NumberColumn(format="localized"),
    "MACs": st.column_config.NumberColumn(format="localized", width=110),
    "Field (px)": st.column_config.TextColumn(
        help="Receptive field, in pixels of the image; ≤ where it is an upper bound."
    ),
    "Picture": st.column_config.TextColumn(
        help="Whether the field exceeds the picture, by its longest path; a convolution is unproductive where by its "
        "shortest its input sees the whole picture already."
    ),
    metrics.LATENCY: st.column_config.NumberColumn(format="%.3f"),
    **{name: st.column_config.NumberColumn(format="percent") for name in metrics.SHARES},
}
