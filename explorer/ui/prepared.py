"""How the picture was prepared for the network, in words: beside every result that depends on it."""

from __future__ import annotations

import streamlit as st

from explorer.networks import picture_input
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session


def render(session: Session) -> None:
    """One line of what was done, what of the picture is not seen, and what of the weights' header was passed over."""
    found, picture = session.preprocessing, session.picture
    lines = [f"Prepared: {picture_input.describe(found)}."]
    if (cut := picture_input.unseen(found, *picture.pixels.shape[:2])) is not None:
        lines.append(cut)
    for line in (*lines, *session.source.notes):
        st.caption(markdown_safe(line))
