"""What more than one panel says of the limits of figures and of networks."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.structure import Analysis
from explorer.analysis.unproductive import OutgrownImage, outgrown_image
from explorer.figures.caveats import inexact_fields
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session


def warn_of_fields(analysis: Analysis) -> None:
    """Say which receptive fields are upper bounds or unknown."""
    if inexact := inexact_fields(analysis):
        say = st.warning if analysis.not_followed else st.caption
        say(markdown_safe(f"{inexact[0].upper()}{inexact[1:]}."))


def outgrown(session: Session) -> OutgrownImage:
    """The layers that have outgrown the picture, worked out once for each network."""
    return _outgrown_by(session.network.key, session.analysis)


@st.cache_data(max_entries=64, show_spinner=False)
def _outgrown_by(key: str, _analysis: Analysis) -> OutgrownImage:
    return outgrown_image(_analysis)
