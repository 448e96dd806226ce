"""Architecture: knobs, figures, layer graph, layers, receptive fields and costs."""

from __future__ import annotations

import streamlit as st

from explorer.ui.session import Session
from explorer.ui.view import View


def render(session: Session) -> None:
    """Draw the whole page."""
    if session.spec_error:
        st.error(session.spec_error)
    analysis = session.analysis
    st.metric("Parameters", f"{analysis.params:,}")
    st.dataframe([{"id": layer.id, "params": layer.params, "macs": layer.macs} for layer in analysis.layers])


VIEW = View("architecture", "Architecture", ":material/account_tree:", 0, render)
