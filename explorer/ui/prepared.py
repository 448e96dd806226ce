"""How the picture was prepared for the network, beside every result that depends on it, and how to change it."""

from __future__ import annotations

import streamlit as st

from explorer.networks import picture_input
from explorer.ui import input_choices
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session


def render(session: Session) -> None:
    """What was done, what of the picture is not seen, what was passed over of the weights' header, what changed knobs
    left of the weights; and the controls."""
    found, picture = session.preprocessing, session.picture
    lines = [f"Prepared: {picture_input.describe(found)}."]
    if (cut := picture_input.unseen(found, *picture.pixels.shape[:2])) is not None:
        lines.append(cut)
    lines += [*session.source.notes, *filter(None, [session.kept_sentence])]
    for line in lines:
        st.caption(markdown_safe(line))
    with st.expander("Preprocessing", icon=":material/tune:"):
        if session.choices_error:
            st.warning(markdown_safe(f"{session.choices_error} The weights' own preprocessing is used."))
        input_choices.controls()
        st.image(session.view, caption="As the network gets it", width=160)
