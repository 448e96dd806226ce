"""A part of the page that is run again by itself, as long as a change in it changes nothing around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explorer.ui import session as sessions
from explorer.ui import state
from explorer.ui.guard import guard
from explorer.ui.session import Session


def part(name: str, around: Callable[[Session], Any], draw: Callable[[Session], None]) -> Callable[[Session], None]:
    """`draw`, which Streamlit runs alone after a change of one of its controls.

    around: what the rest of the page shows of the session; where a change in the part changes that, the whole page is
    run after all. Of the arguments of a part Streamlit would keep those of the last whole run, so that it has none.
    """
    shown, drawn = f"around {name}", f"session of {name}"

    @st.fragment
    def alone() -> None:
        if _is_whole_run():
            draw(st.session_state[drawn])
            return
        with guard():
            session = sessions.resume()
            if around(session) != st.session_state[shown]:
                st.rerun()
            draw(session)
        state.end()

    def render(session: Session) -> None:
        st.session_state[shown], st.session_state[drawn] = around(session), session
        alone()

    return render


def _is_whole_run() -> bool:
    context = get_script_run_ctx()
    return context is None or not context.fragment_ids_this_run
