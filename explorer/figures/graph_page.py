"""The interactive graph's own code, and a page that shows a network with it, without a server."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from explorer.errors import UserError
from explorer.resources import asset, missing_assets

_PARTS = (
    "svg", "model", "layout", "labels", "colours", "canvas", "hover", "keys", "draw", "controls", "placer", "view",
    "pdf", "exports", "mount",
)  # fmt: skip
CODE = Path(__file__).parents[1] / "ui" / "components" / "graph"  # beside the component that shows it on the page
_THEME = """--st-font: system-ui, sans-serif; --st-text-color: #1c2733; --st-background-color: #fff;
--st-secondary-background-color: #f3f6f9; --st-border-color: #d5dbe1; --st-primary-color: #0072b2;"""


@cache
def source() -> str:
    """The graph's JavaScript with dagre, as a classic script that defines `explorerGraph`.

    Raises UserError where the assets are lost.
    """
    if missing := missing_assets():
        raise UserError(missing)
    dagre = asset("vendor", "dagre", "dagre.min.js").read_text(encoding="utf-8")
    parts = "\n".join((CODE / f"{name}.js").read_text(encoding="utf-8") for name in _PARTS)
    names = "mount, work, alone, fillWindow"
    return f"{dagre}\nfunction explorerGraph(SOURCE, STYLE) {{\n{parts}\nreturn {{ {names} }};\n}}\n"


@cache
def style() -> str:
    """The graph's CSS, in colours and fonts of Streamlit's variables."""
    return (CODE / "style.css").read_text(encoding="utf-8")


def graph_page(payload: dict[str, Any]) -> str:
    """A page that shows the graph of a payload and nothing else. Raises UserError where the assets are lost."""
    made = 'new Function("SOURCE", "STYLE", SOURCE + "\\nreturn explorerGraph(SOURCE, STYLE);")(SOURCE, STYLE)'
    shown = f'document.querySelector(".root"), {_inline(payload)}, {{values: {{}}, shares: []}}, "", {{}}'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(str(payload["title"]))}</title>'
        f"<style>{style()} body {{ margin: 0; padding: 8px; background: var(--st-background-color); }} "
        f":root {{ {_THEME} }}</style></head>"
        f'<body><div class="root" style="--height: calc(100vh - 16px)"></div><script>'
        f"const SOURCE = {_inline(source())};\nconst STYLE = {_inline(style())};\nconst kit = {made};\n"
        f"kit.alone({shown});</script></body></html>"
    )


def _inline(value: Any) -> str:
    """Data in a script of a page, that no text in it can end."""
    return json.dumps(value).replace("<", "\\u003c")
