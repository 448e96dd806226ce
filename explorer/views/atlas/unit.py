"""One unit: the nine pictures that excite it most beside what in them does, and what else is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from explorer.atlas.patches import Patch
from explorer.figures import raster
from explorer.types import Cell
from explorer.ui import components, layer_maps, map_picture, state
from explorer.ui.awaited import awaited
from explorer.ui.components import Outline, Tile
from explorer.ui.guard import guard
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.atlas import fed_by, grown, optimised
from explorer.views.atlas.scans import SessionScan
from explorer.views.atlas.sheet import open_unit, shown_pixels

SETTINGS = (Setting("atlas_rank", 0, low=0, high=8, of_network=True),)  # which of the nine is shown whole


def render(found: SessionScan, layer: str, channel: int, layer_control: Callable[[], None]) -> None:
    """Draw the unit's page."""
    _controls(found, layer, channel, layer_control)
    with guard():
        _nine(found, layer, channel)


def _controls(found: SessionScan, layer: str, channel: int, layer_control: Callable[[], None]) -> None:
    channels = found.scan.of(layer).channels
    with st.container(border=True), st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        layer_control()
        state.keep(st.number_input, "atlas channel", "Channel", channel, open_unit(layer), min_value=0,
                   max_value=channels - 1, step=1, width=130)  # fmt: skip
        st.button(f"All {channels:,} units", key="atlas all units", icon=":material/grid_view:",
                  on_click=open_unit(layer), args=(-1,))  # fmt: skip
        grown.render(found.session, layer)


def _nine(found: SessionScan, layer: str, channel: int) -> None:
    """Projections left and patches right, as in the paper's figure 2."""

    def work(job: Job) -> tuple[Patch, ...]:
        return next((patches for _, patches in found.patches(layer, [channel], job.should_stop)), ())

    key = (*found.key, layer, channel)
    patches = awaited("atlas nine", key, "Leading the nine back to pixels", work)
    if patches is None:
        return
    if not patches:
        st.caption(f"Channel {channel} is finite for no picture that was scanned.")
        return
    _pictures(found, patches)
    made, picture, below = st.columns(3, gap="large")
    with made, guard():
        optimised.render(found.session, layer, channel, patches[0].value)
    with picture, guard():
        _map(found.session, layer, channel, patches[0].value)
    with below, guard():
        fed_by.render(found, layer, channel, patches)


def _pictures(found: SessionScan, patches: Sequence[Patch]) -> None:
    rank = min(state.get("atlas_rank"), len(patches) - 1)
    left, middle, right = st.columns(3, gap="large")
    with left:
        _tiles("Projections", patches, rank, projected=True)
    with middle:
        _tiles("The nine strongest", patches, rank, projected=False)
    with right, guard():
        _whole(found, patches[rank])
    if patches[0].value == 0:
        st.caption("The unit is above 0 for none of the pictures: it is dead.")


def _map(session: Session, layer: str, channel: int, strongest: float) -> None:
    """The channel's map of the picture at hand, or its one value."""
    st.subheader("On your picture", anchor=False)
    look = layer_maps.of(session, layer)
    if look is None:
        return
    if look.maps.is_vector:
        st.metric("Activation", f"{look.maps.maps[channel].item():.4g}")
        st.caption(f"One value for the whole picture; the strongest of the nine reaches {strongest:.4g}.")
    else:
        map_picture.render(session, look.maps, channel, look.maps.scale(channel, False), key="atlas map",
                           pick=_choose_position)  # fmt: skip


def _choose_position(position: Cell) -> None:
    state.put("row", position[0])
    state.put("column", position[1])


def _tiles(title: str, patches: Sequence[Patch], rank: int, projected: bool) -> None:
    st.subheader(title, anchor=False)
    found = [_tile(number, patch, projected) for number, patch in enumerate(patches)]
    components.tiles(found, rank, lambda chosen: state.put("atlas_rank", chosen), key=f"atlas {title}", columns=3)


def _tile(rank: int, patch: Patch, projected: bool) -> Tile:
    pixels = shown_pixels(patch, projected)
    row, column = patch.position
    if not pixels.size:
        return Tile(rank, "", f"{patch.name} is gone", "the picture cannot be opened any more", flagged=True)
    return Tile(rank, raster.address(pixels), f"{patch.value:.3g} · {patch.label or patch.name}",
                f"{patch.name}, row {row}, column {column}")  # fmt: skip


def _whole(found: SessionScan, patch: Patch) -> None:
    """The chosen of the nine pictures, with the frame of what the unit sees."""
    st.subheader(f"Number {state.get('atlas_rank') + 1}, whole", anchor=False)
    view = found.view(patch)
    size = view.shape[0], view.shape[1]
    components.picture(
        raster.enlarge(view, raster.zoom_of(size)), f"{patch.name}, whole", key="atlas whole",
        at=raster.stretched((1, 1), size), outlines=[Outline(patch.box, "what the unit sees")],
    )  # fmt: skip
    row, column = patch.position
    st.caption(markdown_safe(f"{patch.name}: activation {patch.value:.4g} at row {row}, column {column}."))
