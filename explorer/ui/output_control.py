"""What the end of the network means: a control and a setting that all views with predictions share."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.outputs import OUTPUTS, Output
from explorer.ui import state
from explorer.ui.settings import Setting

SETTINGS = (Setting("output", "", choices=("", *OUTPUTS), of_network=True),)
LABELS = {
    "": "Found out",
    "softmax": "Softmax over the classes",
    "sigmoid": "Sigmoid of each value",
    "probabilities": "Probabilities already",
    "logits": "Values as they are",
}


def chosen() -> Output | None:
    """How a person says that the network's values become probabilities; None where it is found out."""
    return state.get("output") or None


def render() -> None:
    """A list of what the network's output may be."""
    state.control(
        st.selectbox, "output", "Output is", options=list(LABELS), format_func=LABELS.__getitem__,
        help="How the network's values become probabilities. Found out: from the network's last operation.",
    )  # fmt: skip
