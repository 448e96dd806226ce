"""Work that starts by itself where it is cheap, and waits for a click where it is not."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.figures import units
from explorer.ui import jobs
from explorer.views.occlusion.square import CHEAP_MACS

PIXEL_MACS = 2_000  # that take as long as drawing a pixel of an unseen picture, 0.2 µs


def is_asked(kind: str, key: tuple[Any, ...], macs: int, drawn: int = 0, size_px: int = 0) -> bool:
    """Whether a job is to start, or was: else a button for it is drawn.

    macs: the multiply-accumulates it takes. drawn, size_px: how many pictures are drawn for it, and how large.
    """
    is_cheap = macs + PIXEL_MACS * drawn * size_px**2 <= CHEAP_MACS
    if is_cheap or st.session_state.get(_place(kind)) == key or jobs.current(kind, key) is not None:
        return True
    st.button("Run", type="primary", icon=":material/play_arrow:", key=f"ask {kind}", on_click=_ask, args=(kind, key))
    pictures = f"draws {drawn:,} pictures of {size_px} × {size_px} px, and " if drawn else ""
    st.caption(f"It {pictures}takes {units.count(macs)} multiply-accumulates.")
    return False


def _ask(kind: str, key: tuple[Any, ...]) -> None:
    st.session_state[_place(kind)] = key


def _place(kind: str) -> str:
    return f"asked {kind}"
