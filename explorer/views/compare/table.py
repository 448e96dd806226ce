"""The layers of two networks as aligned rows, with what changed in words and the differences in numbers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.analysis.alignment import Fate
from explorer.figures import comparison
from explorer.ui import state
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.compare import entries
from explorer.views.compare.entries import Candidate

ROW_CHOICES: dict[str, tuple[str, tuple[Fate, ...]]] = {
    "differ": ("Changed, added, removed", ("changed", "added", "removed")),
    "follow": ("And what follows", ("changed", "added", "removed", "follows")),
    "all": ("All layers", ("changed", "added", "removed", "follows", "same")),
}
SETTINGS = (Setting("rows", "differ", choices=tuple(ROW_CHOICES)), Setting("beside", 2, low=2, high=4))


def render(found: list[Candidate], session: Session) -> None:
    """Draw the rows of the reference and one other network."""
    del session
    reference, others = found[0], dict(enumerate(found[1:], start=2))
    place = min(state.get("beside"), len(found))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(others) > 1:
            state.keep(
                st.segmented_control, "beside", "Beside the reference", place, lambda new: state.put("beside", new),
                options=list(others), required=True, format_func=lambda i: markdown_safe(others[i].label),
            )  # fmt: skip
        state.control(st.segmented_control, "rows", "Rows", options=list(ROW_CHOICES), required=True,
                      format_func=lambda name: ROW_CHOICES[name][0])  # fmt: skip
    other = others[place]
    alignment = entries.alignment(reference, other)
    st.markdown(markdown_safe(f"{other.label} beside {reference.label}: {comparison.summary(alignment)}."))
    rows = comparison.table(alignment, reference.analysis, other.analysis, ROW_CHOICES[state.get("rows")][1])
    if not rows:
        st.caption("No layer differs in itself.")
        return
    key = f"aligned {reference.known.network_key} {other.known.network_key} {state.get('rows')}"
    st.dataframe(
        rows, key=key, hide_index=True, height=min(620, 38 + 35 * len(rows)), selection_mode="single-row",
        on_select=lambda: _select(key, rows, found, reference, other), column_config=_columns(reference, other),
    )  # fmt: skip
    st.caption(
        "Layers are aligned by what modules are made of, then by kind, window and channels, and last by name. One "
        "follows where only what comes in differs. Differences are the other network's figure less the reference's."
    )


def _select(
    key: str, rows: list[dict[str, Any]], found: list[Candidate], reference: Candidate, other: Candidate
) -> None:
    if chosen := st.session_state[key].selection.rows:
        row = rows[chosen[0]]
        entry = other if row["other"] is not None else reference
        entries.choose(found, entry, row["other"] or row["reference"])


def _columns(reference: Candidate, other: Candidate) -> dict[str, Any]:
    number = st.column_config.NumberColumn
    left, right = reference.letter, other.letter
    return {
        "reference": st.column_config.TextColumn(f"Layer of {left}", width=150, pinned=True),
        "other": st.column_config.TextColumn(f"Layer of {right}", width=150),
        "fate": st.column_config.TextColumn("Fate", width=80),
        "change": st.column_config.TextColumn("What differs", width=260),
        "left output": st.column_config.TextColumn(f"Output of {left}"),
        "right output": st.column_config.TextColumn(f"Output of {right}"),
        "params": number(f"Parameters of {right}", format="localized"),
        "params difference": number("Δ parameters", format="localized"),
        "macs": number(f"MACs of {right}", format="localized"),
        "macs difference": number("Δ MACs", format="localized"),
    }
