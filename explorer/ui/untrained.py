"""Where the weights are random, a line that says so beside what they make of a picture, and the way to trained ones."""

from __future__ import annotations

import streamlit as st

from explorer.ui import state, weights
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

BADGE = ":orange-badge[:material/casino: Random weights]"
_PUBLISHED = {"imagenet": "ImageNet's", "coco": "COCO's"}
SENTENCE = "This network has learned nothing yet."


def render(session: Session) -> None:
    """Draw the line, with a button for the nearest network that comes trained; nothing where weights were learned."""
    if session.source.kind != "random":
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="untrained"):
        st.markdown(f"{BADGE} :small[{SENTENCE} {_others(session)}]", width="content")
        if (trained := weights.trained(session.preset)) is not None:
            is_own = trained == session.preset
            label = "Use the weights trained here" if is_own else f"Open {markdown_safe(trained)}, trained here"
            st.button(label, icon=":material/school:", key="open trained", on_click=_open, args=(session, trained))


def _others(session: Session) -> str:
    """Whether there are weights to download."""
    kinds = {source.kind for source in weights.offered(session.preset)}
    whose = next((_PUBLISHED[kind] for kind in _PUBLISHED if kind in kinds), None)
    return f"{whose} can be chosen in the sidebar." if whose else ""


def _open(session: Session, trained: str) -> None:
    """Choose the weights that the preset at hand comes with, or open the preset that has some."""
    if trained == session.preset:
        state.put("weights", "")
    else:
        state.open_network(trained, {})
