"""A channel's map over the picture with the frame of what one unit sees, and its small tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from explorer.errors import in_percent
from explorer.figures import maps as figures
from explorer.figures import raster
from explorer.types import Box, Cell
from explorer.ui import components, state
from explorer.ui.components import Legend, Outline, Tile
from explorer.ui.layer_maps import LayerMaps
from explorer.ui.session import Session


def render(
    session: Session, found: LayerMaps, channel: int, scale: raster.Range, *, key: str, pick: Callable[[Cell], None]
) -> np.ndarray:
    """Draw one channel over the picture, with the frame of the chosen unit; a click hands (row, column) to `pick`.

    scale: what the ends of the colours stand for. Returns the pixels, uint8 [H, W, 3].
    """
    unit, at, values = found.unit(channel), found.placement(session), found.maps[channel]
    shown = raster.overlay(session.view, values, at, scale, state.get("opacity"), state.get("smooth"))
    box, sees = _seen(session, found, unit), _sees(session, found)
    components.picture(
        shown, f"Channel {channel} of {found.layer} over the picture", key=key, at=at, texts=_texts(values),
        outlines=[Outline(box, f"what the chosen unit {sees}")] if box else [], chosen=unit, pick=pick,
        legend=Legend("Activation", raster.CIVIDIS, f"{scale[0]:.3g}", f"{scale[1]:.3g}"),
    )  # fmt: skip
    st.caption(_explain(unit, box, sees) if values.size > 1 else "The channel has one value for the whole picture.")
    return shown


def tile(found: LayerMaps, channel: int, scale: raster.Range) -> Tile:
    """One channel as a small picture, with its figures; what holds NaN is flagged."""
    statistics = found.statistics
    source = raster.address(figures.tile(found.maps[channel], scale))
    if not statistics.is_finite[channel]:
        return Tile(channel, source, f"{channel} NaN", "holds NaN or infinity", flagged=True)
    hint = (
        f"mean {statistics.mean[channel]:.3g}, maximum {statistics.maximum[channel]:.3g}, "
        f"above 0 at {in_percent(statistics.positive_share[channel])} of positions"
    )
    return Tile(channel, source, f"{channel} dead" if statistics.is_dead[channel] else str(channel), hint)


def _seen(session: Session, found: LayerMaps, unit: Cell) -> Box | None:
    """What the unit sees of the picture; None where the layer's rows and columns are not the picture's."""
    report = session.analysis[found.layer]
    return report.local_receptive_field.box(*unit) if report.is_map else None


def _sees(session: Session, found: LayerMaps) -> str:
    """The frame is the local field; a gate before the layer reads more."""
    report = session.analysis[found.layer]
    return "sees" if report.receptive_field.axes == report.local_receptive_field.axes else "sees without gates"


def _explain(unit: Cell, box: Box | None, sees: str) -> str:
    row, column = unit
    if box is None:
        return (
            "Rows and columns of this layer are not the picture's (they may be tokens, channels or heads), so the map "
            f"is stretched over it. Chosen is row {row}, column {column}; click to choose another."
        )
    top, left, bottom, right = box
    return (
        f"The frame is what the unit at row {row}, column {column} {sees}: rows {top} to {bottom - 1}, columns {left} "
        f"to {right - 1}. Click the picture to choose another unit."
    )


def _texts(values: np.ndarray) -> list[list[str]]:
    if values.size > components.HOVERED:
        return []
    return [[f"{v:.4g} · row {r}, column {c}" for c, v in enumerate(row)] for r, row in enumerate(values)]
