"""How maps lie over a picture: controls and settings that all views with such pictures share."""

from __future__ import annotations

import streamlit as st

from explorer.ui import state
from explorer.ui.settings import Setting

SETTINGS = (Setting("opacity", 0.6, low=0.0, high=1.0), Setting("smooth", False))


def render() -> None:
    """A slider for the map's opacity, and a switch between cells and a smooth surface."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.control(st.slider, "opacity", "Opacity of the map", min_value=0.0, max_value=1.0, step=0.05)
        state.control(st.toggle, "smooth", "Smooth")
