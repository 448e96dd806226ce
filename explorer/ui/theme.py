"""What figures need to know of the page's theme; colours for the colour-blind (Okabe and Ito, cividis)."""

from __future__ import annotations

import streamlit as st

PLAIN = {"displayModeBar": False}  # plotly charts: without a bar of buttons that covers them


# Streamlit leaves a third of a small screen to margins; the graph and the panel beside it need it.
_MARGINS = """<style>
[data-testid="stMainBlockContainer"] { padding: 4.1rem 2rem 2rem; }
@media (max-width: 640px) { [data-testid="stMainBlockContainer"] { padding: 4.1rem 1rem 2rem; } }
</style>"""


def narrow_margins() -> None:
    """Give the page the whole width of its window."""
    st.html(_MARGINS)


def is_dark() -> bool:
    """Whether the page is shown in the dark theme."""
    return st.context.theme.type == "dark"
