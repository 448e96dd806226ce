"""Zeiler & Fergus: the figures of "Visualizing and Understanding Convolutional Networks", on the network at hand."""

from __future__ import annotations

import pkgutil

import streamlit as st

from explorer.discovery import import_each
from explorer.ui import state, untrained
from explorer.ui.guard import guard
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.zeiler_fergus import panels
from explorer.views.zeiler_fergus.panel import Panel

PAPER = "[Zeiler and Fergus 2014](https://arxiv.org/abs/1311.2901)"
_modules, _broken = import_each(panels, (found.name for found in pkgutil.iter_modules(panels.__path__)))
_found: list[Panel] = sorted((module.PANEL for module in _modules), key=lambda panel: panel.order)
PAPER_PANELS = {panel.name: panel for panel in _found}


def render(session: Session) -> None:
    """Draw the switch of panels and the chosen one."""
    state.control(
        st.segmented_control, "paper_figure", "Figure", options=list(PAPER_PANELS), required=True,
        label_visibility="collapsed", format_func=lambda name: PAPER_PANELS[name].title,
    )  # fmt: skip
    for problem in _broken:
        st.warning(markdown_safe(problem), icon=":material/extension_off:")
    panel = PAPER_PANELS[state.get("paper_figure")]
    st.markdown(f":small[{panel.found} {PAPER}, {panel.figure}.]")
    if session.spec_error:
        st.warning("This is the last network that could be built.", icon=":material/history:")
    if panel.of_network:
        untrained.render(session)
    with guard():
        panel.render(session)


VIEW = View(
    "paper", "Zeiler & Fergus", ":material/menu_book:", 8, render,
    settings=(
        Setting("paper_figure", next(iter(PAPER_PANELS)), choices=tuple(PAPER_PANELS)),
        *(setting for panel in PAPER_PANELS.values() for setting in panel.settings),
    ),
)  # fmt: skip
