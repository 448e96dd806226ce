"""The unit that is projected back: its projection beside the part of the photo that it sees, and its nine rivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st

from explorer.analysis.deconvnet import Projection, project, project_units
from explorer.analysis.deconvnet_rules import BackwardSettings
from explorer.analysis.way_back import WayStep, way_back
from explorer.figures import raster
from explorer.figures import way_back as figures
from explorer.images import codec
from explorer.types import Box, Cell
from explorer.ui import components
from explorer.ui.awaited import awaited
from explorer.ui.components import Outline, Tile
from explorer.ui.jobs import Job
from explorer.ui.layer_maps import LayerMaps
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

CHANNELS = 9  # as many as the paper's figure 2 shows of a channel


@dataclass(frozen=True, eq=False)
class ProjectedUnit:
    """One unit, its projection, and the steps of its way back, if they are shown. Files are made of it in threads
    without the state."""

    session: Session
    projection: Projection
    steps: tuple[WayStep, ...]

    @cached_property
    def box(self) -> Box:
        """What the unit sees of the picture, in pixels; all of it where its rows and columns are not the picture's."""
        return seen(self.session, self.projection.layer, self.projection.position)

    @cached_property
    def pixels(self) -> np.ndarray:
        """The projection, uint8 [H, W, 3]."""
        return figures.pixels(figures.in_picture_colours(self.projection, self.session.preprocessing))

    @property
    def name(self) -> str:
        """Layer, channel, row and column, for names of files."""
        row, column = self.projection.position
        return f"{self.projection.layer}_{self.projection.channel}_{row}_{column}"


def seen(session: Session, layer: str, position: Cell) -> Box:
    """What a unit sees of the picture, without gates; the whole picture where that is not known or nothing."""
    height, width = session.preprocessing.crop
    report = session.analysis[layer]
    top, left, bottom, right = report.local_receptive_field.box(*position) if report.is_map else (0, 0, 0, 0)
    return (top, left, bottom, right) if top < bottom and left < right else (0, 0, height, width)


def projected(session: Session, found: LayerMaps, channel: int, settings: BackwardSettings) -> ProjectedUnit | None:
    """The chosen unit of a channel projected back; None while it is worked out. Raises UserError."""
    position = found.unit(channel)
    key = (*session.key, found.layer, channel, position, str(settings))

    def work(job: Job) -> tuple[Projection, tuple[WayStep, ...]]:
        return _projected(key, session, found.layer, channel, position, settings, job.should_stop)

    answer = awaited("deconvnet", key, "Leading the signal back", work)
    return None if answer is None else ProjectedUnit(session, *answer)


@st.cache_resource(max_entries=32, show_spinner=False)
def _projected(
    key: Any, _session: Session, _layer: str, _channel: int, _position: Cell, _settings: BackwardSettings,
    _cancel: Callable[[], bool],
) -> tuple[Projection, tuple[WayStep, ...]]:  # fmt: skip
    program = _session.load(_cancel).program
    found = project(program, _session.input, _layer, _channel, _position, _settings, steps=True, cancel=_cancel)
    return replace(found, signal=found.signal.cpu(), steps=()), way_back(program.graph, found)


# -- on the page ------------------------------------------------------------------------------------------------------


def pair(unit: ProjectedUnit, is_whole: bool) -> None:
    """The projection and the photo side by side, as in figure 2 of the paper: of what the unit sees, or whole."""
    height, width = unit.session.preprocessing.crop
    box = (0, 0, height, width) if is_whole else unit.box
    outlines = [_shifted(unit.box, box)] if is_whole and unit.box != box else []
    shown = (("Projection", unit.pixels), ("Photo", unit.session.view))
    with st.container(horizontal=True, gap="small"):
        for title, picture in shown:
            with st.container():
                _picture(title, figures.cropped(picture, box), outlines)


def _picture(title: str, picture: np.ndarray, outlines: list[Outline]) -> None:
    height, width = size = picture.shape[0], picture.shape[1]
    st.markdown(f"**{title}**")
    components.picture(
        raster.enlarge(picture, raster.zoom_of(size)), f"{title}, {height} × {width} pixels", key=f"back {title}",
        at=raster.stretched((1, 1), size), outlines=outlines,
    )  # fmt: skip


def _shifted(box: Box, within: Box) -> Outline:
    top, left = within[:2]
    return Outline((box[0] - top, box[1] - left, box[2] - top, box[3] - left), "what the unit sees")


def explain(unit: ProjectedUnit) -> None:
    """In words: the unit, its activation, and what the grays mean."""
    found = unit.projection
    row, column = found.position
    st.caption(markdown_safe(
        f"Channel {found.channel} of {found.layer} at row {row}, column {column}: activation {found.activation:.4g}. "
        f"Gray is 0; each colour goes from minus to plus the {figures.LOUDEST:g}th percentile of the magnitudes."
    ))  # fmt: skip
    if not found.signal.any():
        st.caption("Nothing comes back: by these rules the signal is 0 at every pixel.")
    elif found.activation == 0:
        st.caption("The unit is 0 for this picture, so the signal of 1 is shown without the activation as a factor.")


def files(unit: ProjectedUnit) -> None:
    """Buttons that hand out the projection as PNG and NPY."""
    offered = {
        "Projection (PNG)": lambda: codec.encode_png(unit.pixels),
        "Projection (NPY)": lambda: codec.encode_npy(unit.projection.signal.float().numpy()),
    }
    with st.container(horizontal=True):
        for label, data in offered.items():
            name = f"{unit.name}.{label[-4:-1].lower()}"
            st.download_button(label, data, name, on_click="ignore", icon=":material/download:")


def strongest(
    session: Session, found: LayerMaps, chosen: int, settings: BackwardSettings, pick: Callable[[int], None]
) -> None:
    """The nine channels with the greatest activations, each at its strongest unit: projections, and what they see."""
    channels = [int(channel) for channel in found.order("maximum")[:CHANNELS] if found.statistics.is_finite[channel]]
    key = (*session.key, found.layer, str(settings))

    def work(job: Job) -> list[ProjectedUnit]:
        return _nine(key, session, found, channels, settings, job)

    def draw(units: list[ProjectedUnit]) -> None:
        _tiles(units, chosen, pick)

    units = awaited("deconvnet strongest", key, f"The strongest channels of {found.layer}", work,
                    lambda job: draw(job.partial or []))  # fmt: skip
    if units is not None:
        draw(units)


@st.cache_resource(max_entries=8, show_spinner=False)
def _nine(
    key: Any, _session: Session, _found: LayerMaps, _channels: list[int], _settings: BackwardSettings, _job: Job
) -> list[ProjectedUnit]:
    wanted, units = [(channel, _found.strongest(channel)) for channel in _channels], list[ProjectedUnit]()

    def tell(projection: Projection) -> None:
        units.append(ProjectedUnit(_session, replace(projection, signal=projection.signal.cpu()), ()))
        _job.progress(len(units), len(wanted), list(units))

    program = _session.load(_job.should_stop).program
    project_units(program, _session.input, _found.layer, wanted, _settings, on_unit=tell, cancel=_job.should_stop)
    return units


def _tiles(units: list[ProjectedUnit], chosen: int, pick: Callable[[int], None]) -> None:
    st.caption("Each at its strongest unit: the projection, and what the unit sees of the photo, with the channel's "
               "number and its activation. A click chooses the channel.")  # fmt: skip
    left, right = st.columns(2, gap="large")
    with left:
        projections = [_tile(unit, unit.pixels) for unit in units]
        components.tiles(projections, chosen, pick, key="strongest projections", columns=3)
    with right:
        photos = [_tile(unit, unit.session.view) for unit in units]
        components.tiles(photos, chosen, pick, key="strongest photos", columns=3)


def _tile(unit: ProjectedUnit, picture: np.ndarray) -> Tile:
    found, crop = unit.projection, figures.cropped(picture, unit.box)
    return Tile(found.channel, raster.address(crop), f"{found.channel} · {found.activation:.3g}",
                f"channel {found.channel} at row {found.position[0]}, column {found.position[1]}")  # fmt: skip
