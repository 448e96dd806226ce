"""The layer graph, or that of a network that cannot be, as far as it goes."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.analysis.structure import Analysis
from explorer.analysis.unproductive import OutgrownImage
from explorer.figures.graph_payload import graph_payload
from explorer.ui import metrics, state
from explorer.ui.components.graph import layer_graph
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session, partial_analysis
from explorer.ui.settings import Setting
from explorer.views.workbench import selection
from explorer.views.workbench.notes import outgrown

FOLD = Setting("fold", "", of_network=True, instead="the graph as it opens")
SETTINGS = (FOLD,)


def render(session: Session) -> None:
    """Draw the graph of the network at hand; a click on a layer chooses it."""
    layer_graph(
        _payload(session.network.key, session.preset, session.analysis, outgrown(session)), key="graph",
        selected=session.layer, pick=selection.choose, metrics=metrics.metrics(session), shares=metrics.SHARES,
        fold=state.get("fold"), on_fold=lambda opened: state.put("fold", opened), on_refused=_refuse_fold,
        figure=session.analysis.graph,
    )  # fmt: skip


def _refuse_fold(text: str) -> None:
    """Say that the link's fold is of no use; by now another may be in its place."""
    if text == state.get("fold"):
        state.refuse("fold", f"does not fit this network; {FOLD.instead} is shown")


def failed(session: Session, why: str) -> None:
    """Why the knobs at hand make no network, and its graph up to where it stops."""
    st.error(f"These knobs make no network: {markdown_safe(why)}", icon=":material/error:")
    st.caption("Figures and panels show the last network that can be built.")
    if partial := partial_analysis(session):
        failure = partial.graph.failure
        st.caption(markdown_safe(
            f"As far as it goes: up to {failure.path}" if failure else "What torch would build of them"
        ))  # fmt: skip
        layer_graph(graph_payload(partial, title=session.preset), key="draft")


@st.cache_resource(max_entries=32, show_spinner=False)
def _payload(key: str, title: str, _analysis: Analysis, _outgrown: OutgrownImage) -> dict[str, Any]:
    return graph_payload(_analysis, title=title, outgrown=_outgrown)
