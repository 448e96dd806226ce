"""A layer as a contact sheet: each of its units with the nine patches that excite it most, or their projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from explorer.atlas.patches import Patch
from explorer.figures import raster, way_back
from explorer.figures.contact_sheet import block
from explorer.ui import components, state
from explorer.ui.awaited import awaited
from explorer.ui.components import Tile
from explorer.ui.jobs import Job
from explorer.ui.settings import Setting
from explorer.views.atlas.scans import SessionScan

PAGE_UNITS = 64
SHOWN = {"patches": "Patches", "projections": "Projections"}
SETTINGS = (
    Setting("atlas_shown", "patches", choices=tuple(SHOWN)),
    Setting("atlas_page", 1, low=1, high=1000, of_network=True),
)
CELL_PX = 36  # side of a patch on the sheet
SheetUnit = tuple[int, tuple[Patch, ...]]  # its channel, and its patches


def render(found: SessionScan, layer: str, channels: Sequence[int], notes: Sequence[str]) -> None:
    """Draw a page of these channels; notes: what is said of each, behind its number. A click opens the unit."""
    shown = list(channels)[_first(len(channels)) :][:PAGE_UNITS]
    said = dict(zip(channels, notes, strict=True))
    projected = state.get("atlas_shown") == "projections"
    key = (*found.key, layer, tuple(shown), projected)

    def work(job: Job) -> list[SheetUnit]:
        return _sheet(found, layer, shown, projected, job)

    def draw(units: Sequence[SheetUnit]) -> None:
        tiles = [_tile(unit, projected, said[unit[0]]) for unit in units]
        components.tiles(tiles, None, open_unit(layer), key="atlas sheet", columns=8)

    units = awaited("atlas sheet", key, f"Cutting the patches of {layer}", work, lambda job: draw(job.partial or []))
    if units is not None:
        draw(units)


def _first(count: int) -> int:
    pages = max(1, -(-count // PAGE_UNITS))
    return (min(state.get("atlas_page"), pages) - 1) * PAGE_UNITS


def check_page(count: int) -> None:
    """Refuse a page of the link beyond the last of so many units."""
    if state.is_fresh() and state.get("atlas_page") > (pages := max(1, -(-count // PAGE_UNITS))):
        state.refuse("atlas_page", f"is beyond the last page, {pages}, of this layer; the first is shown")


def pager(count: int) -> None:
    """The choice of the page, where there are several."""
    if (pages := -(-count // PAGE_UNITS)) > 1:
        state.keep(st.number_input, "atlas page", f"Page (of {pages})", min(state.get("atlas_page"), pages),
                   lambda page: state.put("atlas_page", page), min_value=1, max_value=pages, step=1,
                   width=130)  # fmt: skip


def _sheet(found: SessionScan, layer: str, channels: list[int], projected: bool, job: Job) -> list[SheetUnit]:
    units = list[SheetUnit]()
    job.progress(0, len(channels))
    for unit in found.patches(layer, channels, job.should_stop, projections=projected):
        units.append(unit)
        job.progress(len(units), len(channels), list(units))
    return units


def _tile(unit: SheetUnit, projected: bool, note: str) -> Tile:
    channel, patches = unit
    if not patches:
        return Tile(channel, raster.address(block([], CELL_PX)), f"{channel} · never finite", flagged=True)
    strongest = patches[0]
    source = raster.address(block([shown_pixels(patch, projected) for patch in patches], CELL_PX))
    hint = f"channel {channel}, at most {strongest.value:.3g}, on {strongest.name}"
    if strongest.value == 0:
        return Tile(channel, source, f"{channel} · dead", hint, flagged=True)
    return Tile(channel, source, f"{channel}{note}", hint)


def shown_pixels(patch: Patch, projected: bool) -> np.ndarray:
    """A patch or its projection, uint8 [h, w, 3]; empty where the picture cannot be opened any more."""
    return way_back.signal_pixels(patch.projection) if projected and patch.projection is not None else patch.pixels


def open_unit(layer: str) -> Callable[[int], None]:
    """What a click on the tile of a channel of the layer does: it goes to the unit's own page, of -1 to the sheet."""

    def go(channel: int) -> None:
        for name, value in {"layer": layer, "channel": channel, "row": -1, "column": -1}.items():
            state.put(name, value)

    return go
