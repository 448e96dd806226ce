"""What a person changed since the preset: a list with a way back for each."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.networks.knob_paths import KnobPath, at, changed, differences, written
from explorer.networks.knob_text import plain
from explorer.ui import knob_layout, state
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session


def render(session: Session) -> None:
    """Draw each value that differs, what it was, and a button that brings it back; then one for all."""
    before, now = plain(session.preset_spec), state.knob_values()
    paths = differences(before, now)
    if not paths:
        st.caption(f"Nothing differs from {session.preset}.")
        return
    for path in paths:
        _change(path, before, now)
    st.button("Reset all", icon=":material/undo:", on_click=state.clear_knobs, key="reset all changes",
              help=f"Back to {session.preset}.")  # fmt: skip


def _change(path: KnobPath, before: dict[str, Any], now: dict[str, Any]) -> None:
    name, old, new = written(path), at(before, path), at(now, path)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{markdown_safe(name)}: {_shown(old)} → **{_shown(new)}**", width="stretch")
        st.button("Reset", key=f"reset change {name}", type="tertiary", icon=":material/undo:",
                  help=f"{markdown_safe(name)} as the preset has it.", on_click=_reset, args=(path, old))  # fmt: skip


def _reset(path: KnobPath, old: Any) -> None:
    name, *rest = path
    state.put_knobs({name: changed(state.knob_values()[name], tuple(rest), old)})


def _shown(value: Any) -> str:
    if isinstance(value, tuple) and value and not isinstance(value[0], str | int | float):
        return f"{len(value)} rows"
    return markdown_safe(knob_layout.show(value))
