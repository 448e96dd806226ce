"""The interactive graph of a network: nested groups that open and close, drawn in the browser from a payload."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from explorer.figures.block_figure import paper_figure
from explorer.figures.graph_page import CODE, source, style
from explorer.graph.layers import LayerGraph
from explorer.ui.block_files import WRITERS

_TALL = "max(23rem, calc(100vh - 16rem))"  # until the browser knows where the graph begins


@cache
def _graph() -> Any:
    entry = (CODE / "component.js").read_text(encoding="utf-8")
    script = f"const SOURCE = {json.dumps(source())};\nconst STYLE = {json.dumps(style())};\n{entry}"
    return component("explorer_graph", html='<div class="root"></div>', css=style(), js=script)


@cache
def _feed() -> Any:
    return component("explorer_graph_feed", js=(CODE / "feed.js").read_text(encoding="utf-8"))


def layer_graph(
    payload: dict[str, Any],
    *,
    key: str,
    selected: str | None = None,
    pick: Callable[[str], None] | None = None,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    shares: Collection[str] = (),
    height: str = "tall",
    sync: str | None = None,
    fold: str = "",
    on_fold: Callable[[str], None] | None = None,
    on_refused: Callable[[str], None] | None = None,
    figure: LayerGraph | None = None,
) -> None:
    """The graph of a network, from `graph_payload`; a click on a layer hands its id to `pick`.

    selected: id of the layer that is marked; another one than before is scrolled to, and what holds it is opened.
    metrics: name → layer id → figure, further choices of what boxes are filled by; a module has the sum of its layers,
    of those named in `shares` (0 to 1) the greatest. height: "tall" for what the window has below a page's head, or a
    length in CSS. sync: graphs of the same name on a page pan, zoom and fold together. fold: what is opened, as
    `on_fold` was told of it; `on_refused` is told of a text that is none of this network's. figure: the network, where
    the menu of files is to have its figure for a paper.
    """
    data = {
        "graph": key, "height": _TALL if height == "tall" else height, "tall": height == "tall", "live": bool(pick),
        "figures": figure is not None,
    }  # fmt: skip
    with st.container(gap=None):
        _graph()(
            key=key,
            data=data,
            on_picked_change=lambda: _tell(key, "picked", pick),
            on_fold_change=lambda: _tell(key, "fold", on_fold),
            on_refused_change=lambda: _tell(key, "refused", on_refused),
            on_figure_change=lambda: _tell(key, "figure", partial(_draw, key, figure, payload["title"])),
        )
        _hand_over(key, "payload", payload)
        _hand_over(key, "metrics", {"values": metrics or {}, "shares": sorted(shares)})
        _hand_over(key, "chosen", {"layer": selected, "fold": fold, "sync": sync})
        if figure is not None:
            _hand_over(key, "figure", st.session_state.get(_drawn(key)))


def _hand_over(key: str, part: str, value: Any) -> None:
    """Each part by itself, as a message that has not changed is not sent again."""
    _feed()(key=f"{key} {part}", data={"graph": key, "part": part, "value": value}, height=0)


def _draw(key: str, graph: LayerGraph | None, title: str, asked: Mapping[str, Any]) -> None:
    """Keep the figure for a paper that the graph asks for, for the run that follows to hand it over."""
    if graph is None:
        return
    write, ending, mime = WRITERS[asked["form"]]
    text = write(paper_figure(graph), title)
    st.session_state[_drawn(key)] = {"request": asked["request"], "ending": ending, "type": mime, "text": text}


def _drawn(key: str) -> str:
    return f"figure of {key}"


def _tell(key: str, what: str, listener: Callable[[Any], None] | None) -> None:
    if listener and (value := st.session_state[key][what]) is not None:
        listener(value)
