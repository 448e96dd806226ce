"""What a person says of a picture's way into the network: settings, controls, and the choices that they make."""

from __future__ import annotations

import streamlit as st

from explorer.errors import UserError, shown
from explorer.ui import state
from explorer.ui.settings import Setting
from models.weights.expected_input import CHANNEL_ORDERS, FITS, INTERPOLATIONS, LARGEST_PX, RANGES, InputChoices
from models.weights.header import numbers

AS_EXPECTED = "As the weights expect"
FIT_LABELS = {"": AS_EXPECTED, "crop": "Cut out the centre", "stretch": "Stretch", "pad": "Pad"}
SETTINGS = (
    Setting("fit", "", choices=("", *FITS), of_network=True, instead="what the weights expect"),
    Setting("resize", 0, low=0, high=LARGEST_PX, of_network=True),  # 0 is what the weights expect
    Setting("interpolation", "", choices=("", *INTERPOLATIONS), of_network=True, instead="what the weights expect"),
    Setting("range", "", choices=("", *RANGES), of_network=True, instead="what the weights expect"),
    Setting("channels", "", choices=("", *CHANNEL_ORDERS), of_network=True, instead="what the weights expect"),
    Setting("mean", "", of_network=True),
    Setting("std", "", of_network=True),
)


def chosen() -> InputChoices:
    """What the state says. Raises UserError that names the setting."""
    texts = {name: state.get(name) or None for name in ("fit", "interpolation", "range", "channels")}
    return InputChoices(state.get("resize") or None, **texts, mean=_numbers("mean"), std=_numbers("std"))


def _numbers(name: str) -> tuple[float, ...] | None:
    text = state.get(name).strip()
    try:
        return numbers(text) if text else None
    except ValueError:
        raise UserError(f"{name}={shown(text)} is not numbers with commas between.") from None


def controls() -> None:
    """One control for each choice."""
    with st.grid(min_column_width=135, gap="small"):
        state.control(st.selectbox, "fit", "Fit", options=list(FIT_LABELS), format_func=FIT_LABELS.__getitem__)
        state.control(st.number_input, "resize", "Resize to (px)", min_value=0, max_value=LARGEST_PX, step=1,
                      help="The side that the picture is scaled to first; 0 is what the weights expect.")  # fmt: skip
        listed = (("interpolation", "Interpolation", INTERPOLATIONS), ("range", "Values", RANGES),
                  ("channels", "Channels", CHANNEL_ORDERS))  # fmt: skip
        for name, label, known in listed:
            state.control(st.selectbox, name, label, options=["", *known], format_func=lambda one: one or AS_EXPECTED)
        state.control(st.text_input, "mean", "Mean", placeholder=AS_EXPECTED,
                      help="Of these values: one number, or one for each channel with commas between.")  # fmt: skip
        state.control(st.text_input, "std", "Std", placeholder=AS_EXPECTED, help="As the mean; one needs the other.")
