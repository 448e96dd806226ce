"""The way from a unit to how the units of its layer grew over a training, where that comes with the program."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.trunk import trunk
from explorer.graph.layers import LayerGraph
from explorer.training.epochs import EVOLVED
from explorer.ui import state
from explorer.ui.session import Session


def render(session: Session, layer: str) -> None:
    """A button that opens the panel Evolution at the layer; nothing for another network."""
    if session.preset != EVOLVED or session.is_changed:
        return
    place = _place(session.analysis.graph, layer)
    if place is not None:
        st.button("How the units of this layer grew", key="atlas grown", icon=":material/timeline:", on_click=_open,
                  args=(place,), help="Over the epochs of a training whose weights come with the program: of the same "
                  "network, with units of its own.")  # fmt: skip


def _place(graph: LayerGraph, layer: str) -> int | None:
    """The number, from 1, of the followed layer that the layer leads to first."""
    order, followed = [each.id for each in graph], trunk(graph)
    behind = [n for n, name in enumerate(followed, 1) if order.index(name) >= order.index(layer)]
    return behind[0] if behind else None


def _open(place: int) -> None:
    for name, value in {"view": "paper", "figure": "evolution", "grown_layer": place, "grown": ""}.items():
        state.put(name, value)
