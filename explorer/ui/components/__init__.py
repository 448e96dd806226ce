"""Small parts of the page that Streamlit does not have, in JavaScript without a build step: tiles, a live picture, and
files of a chart that the browser has drawn.

They fit the width that they are given, follow the theme, and can be used with a keyboard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from streamlit.components.v2 import component

from explorer.figures.raster import Placement, address, edges
from explorer.types import Box

HOVERED = 20_000  # cells up to which what is said of them is sent to the browser
_HERE = Path(__file__).parent


def _component(name: str) -> Any:
    css, js = ((_HERE / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return component(f"explorer_{name}", html='<div class="root"></div>', css=css, js=js)


_tiles, _picture, _downloads = map(_component, ("tiles", "picture", "downloads"))
_focus = component(
    "explorer_focus", html='<div class="root"></div>', js=(_HERE / "focus.js").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Tile:
    """A small picture with a caption; `hint` is shown beside it when pointed at, `flagged` marks it as not valid."""

    id: int
    source: str
    label: str
    hint: str = ""
    flagged: bool = False


@dataclass(frozen=True)
class Outline:
    """A box (top, left, bottom, right) in pixels of the image; `dashed` for what is only pointed out."""

    box: Box
    label: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Legend:
    """What the colours mean: a scale from low to high, or single colours with their names."""

    title: str
    colours: Sequence[str] = ()
    low: str = ""
    high: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


def tiles(
    found: Sequence[Tile], chosen: int | None, pick: Callable[[int], None], *, key: str, columns: int = 6
) -> None:
    """A grid of tiles; a click hands the tile's id to `pick`."""
    data = {"tiles": [asdict(tile) for tile in found], "chosen": chosen, "columns": columns}
    _tiles(key=key, data=data, on_picked_change=lambda: _take(key, pick))


def picture(
    image: np.ndarray,
    label: str,
    *,
    key: str,
    at: Placement,
    texts: Sequence[Sequence[str]] = (),
    outlines: Sequence[Outline] = (),
    legend: Legend | None = None,
    chosen: tuple[int, int] | None = None,
    pick: Callable[[tuple[int, int]], None] | None = None,
) -> None:
    """A picture, uint8 [H, W, 3], over which lies a map with cells `at`.

    texts: what is said of a cell that is pointed at, [rows][columns]. outlines: boxes in pixels of the image. chosen:
    (row, column) of the cell that the arrow keys start from. pick: gets the cell that is clicked; None for no clicks.
    """
    data = {
        "source": address(image),
        "label": label,
        "size": at.size,
        "rows": edges(at.rows, at.size[0]).round(3).tolist(),
        "columns": edges(at.columns, at.size[1]).round(3).tolist(),
        "texts": texts,
        "outlines": [asdict(outline) for outline in outlines],
        "legend": legend and asdict(legend),
        "chosen": chosen,
        "live": pick is not None,
    }
    _picture(key=key, data=data, on_picked_change=lambda: _take(key, lambda cell: pick and pick((cell[0], cell[1]))))


def downloads(title: str, name: str, csv: str, *, drawn: bool, key: str) -> None:
    """Links to files of that name, without ending: the CSV, and with `drawn` SVG and PNG of the chart beside it.

    Both stand in a container whose key begins with `chart`; title: what a screen reader says of the chart.
    """
    _downloads(key=key, data={"title": title, "name": name, "csv": csv, "drawn": drawn})


@contextmanager
def keeps_focus(name: str, version: int) -> Iterator[None]:
    """Around a grid whose next version takes its place: a person who is in it stays there."""
    with st.container(key=f"home of grid {name}", gap=None):
        yield
        _focus(key=f"focus of {name}", data={"version": version}, height=0)


def _take(key: str, pick: Callable[[Any], Any]) -> None:
    if (picked := st.session_state[key].picked) is not None:
        pick(picked)
