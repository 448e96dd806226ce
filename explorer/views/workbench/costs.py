"""Where the network's costs lie."""

from __future__ import annotations

import streamlit as st

from explorer.figures import layers
from explorer.figures.caveats import uncounted_macs, weight_products
from explorer.ui import metrics
from explorer.ui.chart import chart
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session


def render(session: Session) -> None:
    """Draw the costs by stage, what they leave out, and what can be measured."""
    chart(layers.costs(session.analysis), "costs")
    st.caption("A stage is all layers whose maps have the same size; tokens are a sequence, the head has no positions.")
    if alone := weight_products(session.analysis):
        st.caption(f"{alone[0].upper()}{alone[1:]}.")
    metrics.render(session)
    if missing := uncounted_macs(session.analysis.uncounted):
        st.warning(markdown_safe(f"{missing}."))
