"""A network, or one of its modules, as a figure for a paper: SVG and TikZ to download, made when they are wanted."""

from __future__ import annotations

import re

import streamlit as st

from explorer.figures.block_figure import MOST_BOXES, paper_figure
from explorer.figures.block_svg import block_svg
from explorer.figures.block_tikz import block_tikz
from explorer.graph.layers import LayerGraph

WRITERS = {"SVG": (block_svg, "svg", "image/svg+xml"), "TikZ": (block_tikz, "tex", "application/x-tex")}


def render(graph: LayerGraph, title: str) -> None:
    """The choice of a module, and its files."""
    module = st.selectbox(
        "Module", ["", *graph.scopes], key="figure module", format_func=lambda path: path or "the whole network"
    )
    st.caption(f"As papers draw blocks. Modules stay closed to keep it to {MOST_BOXES} boxes where possible.")
    downloads(graph, f"{title} {module}".strip(), "figure", module)


def downloads(graph: LayerGraph, title: str, key: str, module: str = "") -> None:
    """Two buttons for the figure of a module, "" for all of the graph."""
    name = re.sub(r"[^\w.-]+", "_", title)
    with st.container(horizontal=True, gap="small"):
        for label, (write, ending, mime) in WRITERS.items():
            st.download_button(
                f"Figure, {label}", lambda write=write: write(paper_figure(graph, module), title), f"{name}.{ending}",
                mime, key=f"{key} {label}", type="tertiary", icon=":material/download:", on_click="ignore",
                help=f"A figure for a paper, as {label}.",
            )  # fmt: skip
