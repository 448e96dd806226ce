"""Occlusion, panels a to e: what hiding each place does to the strongest map of a layer, and to the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from explorer.analysis.deconvnet import Projection
from explorer.analysis.occluder import occlude
from explorer.analysis.occlusion import OcclusionSettings
from explorer.analysis.occlusion_panels import OcclusionPanels, occlusion_panels
from explorer.figures import prediction, raster
from explorer.figures import way_back as figures
from explorer.graph.names import layer_or_none
from explorer.networks.knob_text import shorten
from explorer.training.dataset import CLASSES
from explorer.types import Cell
from explorer.ui import components, jobs, picture_controls, prepared, state, unseen
from explorer.ui.awaited import awaited
from explorer.ui.components import Outline, Tile
from explorer.ui.guard import guard
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.views.occlusion import maps
from explorer.views.occlusion.maps import Shown
from explorer.views.occlusion.square import CHEAP_MACS, chosen_square, filling, positions
from explorer.views.zeiler_fergus.panel import Panel

KIND = "paper occlusion"
LAST_MAPS = "The last maps"
FEWEST_LOOKED_THROUGH, MOST_LOOKED_THROUGH = 12, 200


@dataclass(frozen=True, eq=False)
class Looked:
    """Panels as far as they are there, and the labels of the pictures that were looked through, [N]."""

    panels: OcclusionPanels
    labels: np.ndarray


def render(session: Session) -> None:
    """Draw the controls and the five panels, or the button that starts them where they take long."""
    settings = _controls(session)
    target = state.get("target") if 0 <= state.get("target") < len(session.categories) else None
    key = (*session.key, settings, target)

    def work(job: Job) -> Looked:
        return _work(session, settings, target, job)

    macs = (positions(session, settings) + _looked_through(session)) * session.analysis.macs
    if macs > CHEAP_MACS and jobs.current(KIND, key) is None:
        st.button("Run", type="primary", icon=":material/play_arrow:", on_click=_start, args=(key, work))
        st.caption(f"{positions(session, settings):,} positions of the square.")
        return
    found = awaited(KIND, key, "Hiding each place", work, lambda job: _so_far(session, settings, job.partial))
    if found is not None:
        _whole(session, settings, found)


def _start(key: tuple[Any, ...], work: Callable[[Job], Looked]) -> None:
    jobs.start(KIND, key, work)


def _controls(session: Session) -> OcclusionSettings:
    graph, settings = session.analysis.graph, chosen_square(session)
    layers = [found.id for found in session.analysis.layers if found.is_map and found.kind != "input"]
    named = state.get("occluded")
    layer = (layer_or_none(graph, named) or "") if named else ""
    if named and layer not in layers:
        layer = ""
        lost = f"occluded={shorten(named)} is not a layer with maps in this network; the last maps are shown."
        st.warning(markdown_safe(lost), icon=":material/link_off:")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.keep(
            st.selectbox, "paper occlusion layer", "Layer", layer,
            lambda name: state.put("occluded", name), options=["", *layers],
            format_func=lambda name: name or LAST_MAPS, width=280,
        )  # fmt: skip
        st.caption(f"A {settings.fill} square of {settings.window} px, every {settings.stride} px: as in *Occlusion*.")
    return replace(settings, layer=layer or None)


def _looked_through(session: Session) -> int:
    """How many other pictures: what is dear is asked of fewer."""
    affordable = CHEAP_MACS // 2 // max(1, session.analysis.macs)
    return max(FEWEST_LOOKED_THROUGH, min(MOST_LOOKED_THROUGH, affordable))


def _work(session: Session, settings: OcclusionSettings, target: int | None, job: Job) -> Looked:
    program = session.load(job.should_stop).program
    drawn, labels = unseen.pictures(_looked_through(session), max(session.input_size[1:]), job.part(0, 2))
    filled = replace(settings, fill_value=filling(session, settings.fill))
    others, found, progress = unseen.inputs(session, drawn), None, job.part(1, 2)
    for found in occlusion_panels(program, session.input, target, filled, others, cancel=job.should_stop):
        done = found.occlusion.done
        progress(int(done.sum()), done.size, Looked(found, labels))
    assert found is not None, "the empty panels come first"
    return Looked(found, labels)


# -- on the page ------------------------------------------------------------------------------------------------------


def _so_far(session: Session, settings: OcclusionSettings, found: Looked | None) -> None:
    if found is not None:
        panels = replace(found.panels, occlusion=maps.snapshot(found.panels.occlusion))
        _draw(session, settings, replace(found, panels=panels), None)


def _whole(session: Session, settings: OcclusionSettings, found: Looked) -> None:
    occlusion = found.panels.occlusion
    _draw(session, settings, found, maps.decode_cell(state.get("position"), occlusion.shape) or occlusion.lowest)
    picture_controls.render()
    st.caption(f"{prediction.explained(occlusion.output, occlusion.tensor)} A click on a map moves the square.")
    prepared.render(session)


def _draw(session: Session, settings: OcclusionSettings, found: Looked, chosen: Cell | None) -> None:
    panels = found.panels
    shown = Shown(session, panels.occlusion, filling(session, settings.fill), chosen, key="paper ")
    parts: list[Callable[[], None]] = [
        lambda: _picture(shown),
        lambda: maps.activation(shown, panels.channel),
        lambda: _projections(session, found),
        lambda: maps.probability(shown),
        lambda: maps.classes(shown),
    ]
    with st.grid(min_column_width=175, gap="small"):
        for letter, part in zip("abcde", parts, strict=True):
            with st.container(gap="xxsmall"), guard():
                st.markdown(f":small[({letter})]")
                part()


def _picture(shown: Shown) -> None:
    """The picture, with the square at the chosen position once the maps are there."""
    session, pixels = shown.session, shown.view
    st.markdown("**The picture, and the square**" if shown.chosen else "**The picture**")
    if shown.chosen:
        hidden = occlude(session.input.cpu(), shown.found.box(*shown.chosen), fill_value=shown.filling)
        pixels = session.preprocessing.pixels(hidden)
    size = session.preprocessing.crop
    outlines = [Outline(shown.found.box(*shown.chosen), "the square")] if shown.chosen else []
    components.picture(raster.enlarge(pixels, raster.zoom_of(size)), "The picture with the square", key="paper picture",
                       at=raster.stretched((1, 1), size), outlines=outlines)  # fmt: skip


def _projections(session: Session, found: Looked) -> None:
    """What excites the map, here and elsewhere."""
    panels = found.panels
    st.markdown(f"**What excites map {panels.channel}**")
    if panels.projection is None:
        return
    tiles = [_tile(session, 0, "this picture", panels.projection)]
    tiles += [
        _tile(session, number, CLASSES[found.labels[other.picture]], other.projection)
        for number, other in enumerate(panels.others, start=1)
    ]
    components.tiles(tiles, 0, _pass, key="paper projections", columns=2)
    st.caption(markdown_safe(
        f"Map {panels.channel} of {panels.layer}, projected back by the deconvnet from its strongest place: in this "
        f"picture, and in those of {len(found.labels)} unseen ones that excite it most."
    ))  # fmt: skip


def _tile(session: Session, number: int, name: str, projection: Projection) -> Tile:
    row, column = projection.position
    picture = figures.pixels(figures.in_picture_colours(projection, session.preprocessing))
    return Tile(number, raster.address(picture), f"{name} · {projection.activation:.3g}",
                f"channel {projection.channel} at row {row}, column {column}")  # fmt: skip


def _pass(number: Any) -> None:
    """A click on a projection chooses nothing."""


PANEL = Panel(
    "occlusion", "Occlusion", "figure 7", 70,
    "Hiding the object lowers the probability of its class, and the map that answers to a part falls where that is.",
    render,
)  # fmt: skip
