"""What more than one panel says of the figures' limits."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.structure import Analysis
from explorer.figures.caveats import inexact_fields
from explorer.ui.markdown import markdown_safe


def warn_of_fields(analysis: Analysis) -> None:
    """Say which receptive fields are upper bounds or unknown."""
    if inexact := inexact_fields(analysis):
        say = st.warning if analysis.not_followed else st.caption
        say(markdown_safe(f"{inexact[0].upper()}{inexact[1:]}."))
