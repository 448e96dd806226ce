"""The workbench: the network's figures and its graph, and beside it a panel for one layer, the knobs, the costs …"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from explorer.networks.questions import StructureQuestion
from explorer.ui import sidebar, state
from explorer.ui.guard import guard
from explorer.ui.part import part
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.workbench import (
    ablate,
    actions,
    budget,
    changes,
    costs,
    field,
    figures,
    filters,
    gradients,
    graph,
    inspector,
    knobs,
    layers,
    lineage,
    made_by,
    receipt,
    stories,
)


def _around(session: Session) -> tuple[Any, ...]:
    """What the rest of the page shows of the session; its title is the preset."""
    return state.get("view"), sidebar.shown(session), stories.shown(session), tuple(state.notices())


def _draw(session: Session) -> None:
    """The whole page: figures on top, the graph, a panel beside it."""
    with guard():
        actions.render(session)
    with guard():
        figures.render(session)
    left, right = st.columns([3, 2], gap="medium")
    with left, st.container(key="beside the panel"), guard():
        if session.spec_error:
            graph.failed(session, session.spec_error)
        else:
            graph.render(session)
    with right:
        _panel(session)


def _panel(session: Session) -> None:
    """The switch between the panels that this network has, and the chosen one."""
    offered = [name for name in PANELS if name not in _hidden(session)]
    chosen = state.get("panel") if state.get("panel") in offered else offered[0]
    state.keep(
        st.segmented_control, "panel", "Panel", chosen, lambda name: state.put("panel", name), options=offered,
        required=True, label_visibility="collapsed", wrap=True, format_func=lambda name: PANELS[name][0],
    )  # fmt: skip
    if hidden := _hidden(session):
        st.caption(f"{_titles(hidden)} are of presets, whose hyperparameters are known here.")
    with guard():  # a panel that cannot be drawn must not take the others away
        PANELS[chosen][1](session)


def _hidden(session: Session) -> tuple[str, ...]:
    """The panels that this network cannot have."""
    return () if session.is_ours else OF_PRESETS


def _titles(names: Sequence[str]) -> str:
    *first, last = (PANELS[name][0] for name in names)
    return f"{', '.join(first)} and {last}"


PANELS: dict[str, tuple[str, Callable[[Session], None]]] = {
    "layer": ("Layer", inspector.render),
    "knobs": ("Knobs", knobs.render),
    "field": ("Field", field.render),
    "costs": ("Cost", costs.render),
    "layers": ("Layers", layers.render),
    "receipt": ("Receipt", receipt.render),
    "ablate": ("Ablate", ablate.render),
    "gradients": ("Gradients", gradients.render),
    "budget": ("Budget", budget.render),
    "lineage": ("Lineage", lineage.render),
    "changes": ("Changes", changes.render),
}

OF_PRESETS = ("knobs", "budget", "lineage", "changes")


def question(session: Session) -> StructureQuestion:
    """The structure of the network at hand, as a question."""
    return StructureQuestion()


VIEW = View(
    "workbench", "Workbench", ":material/account_tree:", 0, part("workbench", _around, _draw),
    settings=(
        Setting("panel", "layer", choices=tuple(PANELS)),
        *ablate.SETTINGS,
        *actions.SETTINGS,
        *filters.SETTINGS,
        *field.SETTINGS,
        *graph.SETTINGS,
        *receipt.SETTINGS,
        *budget.SETTINGS,
        *lineage.SETTINGS,
        *made_by.SETTINGS,
        *stories.SETTINGS,
    ),
    question=question,
)  # fmt: skip
