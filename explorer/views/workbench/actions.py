"""Undo, redo, a network at random, and a pin: the row of buttons above the workbench."""

from __future__ import annotations

import streamlit as st

from explorer.networks.knob_text import plain
from explorer.networks.random_spec import random_spec
from explorer.ui import pins, settings, state
from explorer.ui.history import step
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from models.errors import SpecError

MOST_SEED = 2**31 - 1
SETTINGS = (Setting("drawn", -1, low=-1, high=MOST_SEED, of_network=True),)  # the seed of the network drawn last


def render(session: Session) -> None:
    """Draw the buttons in one row; help says what a click takes back or brings again."""
    history = state.history()
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        undone = step(history.past[-1], history.present) if history.past else ""
        st.button("Undo", icon=":material/undo:", key="undo", type="tertiary", disabled=not history.past,
                  on_click=state.undo, shortcut="Mod+Z", help=markdown_safe(undone) or None)  # fmt: skip
        again = step(history.present, history.future[0]) if history.future else ""
        st.button("Redo", icon=":material/redo:", key="redo", type="tertiary", disabled=not history.future,
                  on_click=state.redo, shortcut="Mod+Shift+Z", help=markdown_safe(again) or None)  # fmt: skip
        if session.is_ours:
            _random(session, _next_seed())
        pins.button(session)
        if _is_drawn(session):
            st.markdown(f":small[:blue-badge[seed {state.get('drawn')}]]", width="content")
        if said := st.session_state.pop("not drawn", None):
            st.markdown(f":small[:red[{markdown_safe(said)}]]", width="content")


def _random(session: Session, seed: int) -> None:
    st.button("Random", icon=":material/casino:", key="random", type="tertiary", on_click=_draw,
              args=(session, seed), help=f"Another {session.architecture.title}, with seed {seed}: some knobs of "
              f"{session.preset} drawn anew, always a network that can be built.")  # fmt: skip


def _next_seed() -> int:
    return (state.get("drawn") + 1) % MOST_SEED


def _draw(session: Session, seed: int) -> None:
    state.put("drawn", seed)
    try:
        drawn = random_spec(session.architecture.name, session.preset_spec, seed)
    except SpecError as error:
        st.session_state["not drawn"] = str(error)
        return
    state.put_knobs(plain(drawn))


def _is_drawn(session: Session) -> bool:
    """Whether the knobs at hand are those of the seed: they may have been changed since, or the link made up."""
    seed = state.get("drawn")
    if seed < 0 or not state.knobs():
        return False
    base = session.preset_spec
    try:
        drawn = random_spec(session.architecture.name, base, seed)
    except SpecError:
        return False
    return settings.changed_knobs(base, plain(drawn)) == dict(state.knobs())
