"""The layer graph, or that of a network that cannot be, as far as it goes."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.structure import Analysis
from explorer.figures import graph_dot
from explorer.graph import fold
from explorer.ui import state, theme
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session, partial_analysis
from explorer.ui.settings import Setting

SETTINGS = (Setting("fold", 0, low=0, high=99),)


def render(session: Session) -> None:
    """Draw the graph of the network at hand."""
    graph = session.analysis.graph
    deepest = fold.max_depth(graph)
    level = min(state.get("fold") or fold.best_depth(graph), deepest)
    if deepest > 1:
        state.keep(
            st.segmented_control, "fold", "Detail", level, lambda value: state.put("fold", value), required=True,
            options=list(range(1, deepest + 1)),
            help="How many levels of nested modules are opened; × N marks what repeats.",
        )  # fmt: skip
    _draw(session.analysis, level, session.layer)


def _draw(analysis: Analysis, level: int, selected: str | None = None) -> None:
    source = graph_dot.dot(fold.fold(analysis.graph, level), dark=theme.is_dark(), selected=selected)
    with st.container(border=True, horizontal_alignment="center"):
        st.graphviz_chart(source, width="content", alt=f"Graph of {len(analysis.graph)} layers, as listed under Layers")


def failed(session: Session, why: str) -> None:
    """Why the knobs at hand make no network, and its graph up to where it stops."""
    st.error(f"These knobs make no network: {markdown_safe(why)}", icon=":material/error:")
    partial = partial_analysis(session)
    if partial:
        failure = partial.graph.failure
        title = f"As far as it goes: up to {failure.path}" if failure else "What torch would build of them"
        with st.expander(title, expanded=True):
            _draw(partial, fold.best_depth(partial.graph))
    st.caption("Figures and panels show the last network that can be built.")
