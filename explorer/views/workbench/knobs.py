"""The knobs of the network at hand."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from explorer.networks.knob_paths import KnobPath, written
from explorer.ui import stage_grid, state, widgets
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.views.workbench import made_by


def render(session: Session) -> None:
    """Draw every knob in its group, and the way back to the preset."""
    by_group = widgets.changed_by_group(type(session.spec))
    changed = sum(by_group.values())
    where = ", ".join(f"{count} in {title}" for title, count in by_group.items())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{changed or 'None'} of {len(type(session.spec).model_fields)} differ from {session.preset}"
                   f"{': ' if where else ''}{where}.")  # fmt: skip
        st.button("Reset all", icon=":material/undo:", type="tertiary", disabled=not changed,
                  on_click=state.clear_knobs, help=f"Back to {session.preset}.")  # fmt: skip
    widgets.knobs(session.preset_spec, _of_layer(session))


def _of_layer(session: Session) -> Sequence[KnobPath]:
    """The knobs that made the chosen layer, named; those in the tables are marked there."""
    paths = made_by.found(session)
    if paths:
        names = ", ".join(markdown_safe(written(path)) for path in paths)
        st.caption(f"{names}. Rows with {stage_grid.MARK} are among them.")
    return paths
