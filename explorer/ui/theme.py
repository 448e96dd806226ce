"""What figures need to know of the page's theme; colours for the colour-blind (Okabe and Ito, cividis)."""

from __future__ import annotations

import streamlit as st

PLAIN = {"displayModeBar": False}  # plotly charts: without a bar of buttons that covers them


def is_dark() -> bool:
    """Whether the page is shown in the dark theme."""
    return st.context.theme.type == "dark"
