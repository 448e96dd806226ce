"""The knobs of the network at hand."""

from __future__ import annotations

import streamlit as st

from explorer.ui import state, widgets
from explorer.ui.session import Session


def render(session: Session) -> None:
    """Draw every knob in its group, and the way back to the preset."""
    changed = len(state.knobs())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{changed or 'None'} of {len(type(session.spec).model_fields)} differ from {session.preset}.")
        st.button("Reset all", icon=":material/undo:", type="tertiary", disabled=not changed,
                  on_click=state.clear_knobs, help=f"Back to {session.preset}.")  # fmt: skip
    widgets.knobs(session.preset_spec)
