"""The interactive graph of a network: nested groups that open and close, drawn in the browser from a payload."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from explorer.figures.graph_page import CODE, source, style

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
) -> None:
    """The graph of a network, from `graph_payload`; a click on a layer hands its id to `pick`.

    selected: id of the layer that is marked; another one than before is scrolled to, and what holds it is opened.
    metrics: name → layer id → figure, further choices of what boxes are filled by; a module has the sum of its layers,
    of those named in `shares` (0 to 1) the greatest. height: "tall" for what the window has below a page's head, or a
    length in CSS. sync: graphs of the same name on a page pan, zoom and fold together. fold: what is opened, as
    `on_fold` was told of it; `on_refused` is told of a text that is none of this network's.
    """
    data = {"graph": key, "height": _TALL if height == "tall" else height, "tall": height == "tall", "live": bool(pick)}
    with st.container(gap=None):
        _graph()(
            key=key,
            data=data,
            on_picked_change=lambda: _tell(key, "picked", pick),
            on_fold_change=lambda: _tell(key, "fold", on_fold),
            on_refused_change=lambda: _tell(key, "refused", on_refused),
        )
        _hand_over(key, "payload", payload)
        _hand_over(key, "metrics", {"values": metrics or {}, "shares": sorted(shares)})
        _hand_over(key, "chosen", {"layer": selected, "fold": fold, "sync": sync})


def _hand_over(key: str, part: str, value: Any) -> None:
    """Each part by itself, as a message that has not changed is not sent again."""
    _feed()(key=f"{key} {part}", data={"graph": key, "part": part, "value": value}, height=0)


def _tell(key: str, what: str, listener: Callable[[str], None] | None) -> None:
    if listener and (value := st.session_state[key][what]) is not None:
        listener(value)
