"""The graphs of the compared networks side by side, with what differs marked, and the list of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from explorer.analysis.structure import Analysis
from explorer.figures import comparison
from explorer.figures.graph_payload import graph_payload
from explorer.ui.components.graph import layer_graph
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.views.compare import entries
from explorer.views.compare.entries import Candidate

SYNCHRONISED = "compare"


def render(found: list[Candidate], session: Session) -> None:
    """Draw a graph per network; they move together, and what differs from the reference is marked."""
    chosen = entries.layers(found, session)
    for entry, column in zip(found, st.columns(len(found), gap="small"), strict=True):  # so that graphs begin level
        column.markdown(f":small[{_says(found, entry)}]")
    for entry, column in zip(found, st.columns(len(found), gap="small"), strict=True):
        with column:
            layer_graph(
                _payload(entry.known.network.key, entry.label, _marks(found, entry), entry.analysis),
                key=f"compared graph {entry.letter}", selected=chosen[entry.letter], sync=SYNCHRONISED,
                pick=lambda layer, entry=entry: entries.choose(found, entry, layer), figure=entry.analysis.graph,
            )  # fmt: skip
    beside = f"beside {found[1].letter}" if len(found) == 2 else "in at least one of the others"
    st.caption(
        "Outlined: what is :orange-badge[changed] or :green-badge[added] beside the reference, and :red-badge[removed] "
        f"from it (in {found[0].letter}, {beside}). A closed module is changed where some of its "
        "layers are. Click a layer to choose it in all of them."
    )


def _says(found: list[Candidate], entry: Candidate) -> str:
    if entry is found[0]:
        return markdown_safe(f"{entry.letter}: the reference")
    return markdown_safe(f"{entry.letter}: {comparison.summary(entries.alignment(found[0], entry))}")


def _marks(found: list[Candidate], entry: Candidate) -> dict[str, str]:
    """Of another network what differs from the reference; of the reference what differs in any of the others."""
    if entry is found[0]:
        return _together([entries.alignment(entry, other).marks("left") for other in found[1:]])
    return entries.alignment(found[0], entry).marks("right")


def _together(marks: list[dict[str, str]]) -> dict[str, str]:
    """The marks of several alignments in one: "changed" where a layer is changed in one and gone from another."""
    fates: dict[str, set[str]] = {}
    for found in marks:
        for layer, fate in found.items():
            fates.setdefault(layer, set()).add(fate)
    return {layer: one.pop() if len(one) == 1 else "changed" for layer, one in fates.items()}


@st.cache_data(max_entries=16, show_spinner=False)
def _payload(key: str, title: str, marks: Mapping[str, str], _analysis: Analysis) -> dict[str, Any]:
    return graph_payload(_analysis, title=title, marks=marks)
