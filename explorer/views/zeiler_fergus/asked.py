"""Work that starts by itself where it is cheap, and waits for a click where it is not."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.figures import units
from explorer.ui import jobs
from explorer.views.occlusion.square import CHEAP_MACS


def is_asked(kind: str, key: tuple[Any, ...], macs: int) -> bool:
    """Whether a job is to start, or was: else a button for it is drawn. macs: the multiply-accumulates it takes."""
    if macs <= CHEAP_MACS or st.session_state.get(_place(kind)) == key or jobs.current(kind, key) is not None:
        return True
    st.button("Run", type="primary", icon=":material/play_arrow:", key=f"ask {kind}", on_click=_ask, args=(kind, key))
    st.caption(f"It takes {units.count(macs)} multiply-accumulates.")
    return False


def _ask(kind: str, key: tuple[Any, ...]) -> None:
    st.session_state[_place(kind)] = key


def _place(kind: str) -> str:
    return f"asked {kind}"
