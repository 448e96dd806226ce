"""The knobs of the network at hand."""

from __future__ import annotations

import streamlit as st

from explorer.networks.knob_of_layer import knobs_of_layer
from explorer.networks.knob_paths import written
from explorer.ui import state, widgets
from explorer.ui.awaited import awaited
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session, spec_key

_ASKED = "knobs of layer asked"


def render(session: Session) -> None:
    """Draw every knob in its group, and the way back to the preset."""
    changed = len(state.knobs())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{changed or 'None'} of {len(type(session.spec).model_fields)} differ from {session.preset}.")
        st.button("Reset all", icon=":material/undo:", type="tertiary", disabled=not changed,
                  on_click=state.clear_knobs, help=f"Back to {session.preset}.")  # fmt: skip
    _of_layer(session)
    widgets.knobs(session.preset_spec)


def _of_layer(session: Session) -> None:
    """Which of the knobs made the chosen layer: asked for, as it builds the network once for each knob."""
    spec, architecture, layer = session.spec, session.architecture, session.layer
    key = (*session.key, spec_key(spec), layer)
    if st.session_state.get(_ASKED) != key:
        st.button(f"Which knobs made {markdown_safe(layer)}?", icon=":material/tune:", type="tertiary", key="made by",
                  on_click=st.session_state.__setitem__, args=(_ASKED, key))  # fmt: skip
        return
    found = awaited("knobs of layer", key, "Trying each knob", lambda _: knobs_of_layer(spec, architecture, layer))
    if found is not None:
        names = ", ".join(markdown_safe(written(path)) for path in found) or "no knob"
        st.markdown(f":small[**{markdown_safe(layer)}** hangs on {names}.]")
