"""What a unit is made of: its filter where it reads the image, else the units below that feed it most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from explorer.analysis.feeders import Feeders, feeders, joined_below, nearest_filters
from explorer.analysis.filters import filters_of
from explorer.atlas.patches import Patch
from explorer.errors import UserError
from explorer.figures import filters as figures
from explorer.figures import raster
from explorer.figures.contact_sheet import block
from explorer.ui import components
from explorer.ui.awaited import awaited
from explorer.ui.components import Tile
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.views.atlas.scans import SessionScan
from explorer.views.atlas.sheet import CELL_PX, open_unit

FEEDERS_SHOWN = 8  # feeders


@dataclass(frozen=True, eq=False)
class _Source:
    """One filter as a picture, and how it is drawn; or the feeders with blocks of their patches, by channel."""

    filter: np.ndarray | None = None
    how: str = ""
    feeders: Feeders | None = None
    blocks: dict[int, np.ndarray] | None = None


def render(found: SessionScan, layer: str, channel: int, patches: Sequence[Patch]) -> None:
    """Draw them; a click on a feeder opens its page."""
    filters = nearest_filters(found.session.analysis.graph, layer)
    reads_image = filters is not None and found.session.analysis.graph[filters].inputs[0] == "input"
    st.subheader("Its filter" if reads_image else "Fed by", anchor=False)
    if filters is None:
        _branches(found, layer, channel)
        return

    def work(job: Job) -> _Source:
        own = _filter(found, filters, channel, job) if reads_image else None
        return own or _feeders(found, layer, channel, patches, job)

    source = awaited("atlas feeders", (*found.key, layer, channel), "Following it down", work)
    if source is not None:
        _show(source)


def _branches(found: SessionScan, layer: str, channel: int) -> None:
    """A way to the same channel of each branch, where these are added up."""
    graph = found.session.analysis.graph
    branches = joined_below(graph, layer)
    st.caption(markdown_safe(f"{layer} joins several branches, which are layers of their own."))
    for branch in branches:
        top = found.scan.top.get(branch)
        if top is not None and top.channels == found.scan.of(layer).channels:
            st.button(f"{markdown_safe(branch)} · {channel}", key=f"atlas branch {branch}", icon=":material/merge:",
                      on_click=open_unit(branch), args=(channel,))  # fmt: skip


def _filter(found: SessionScan, filters: str, channel: int, job: Job) -> _Source | None:
    known = filters_of(found.session.load(job.should_stop).program, filters)
    if known is None or channel >= len(known.weights):
        return None
    (picture,), how = figures.filter_pictures(known, [channel], order=found.session.preprocessing.order)
    return _Source(raster.enlarge(picture, raster.zoom_of((picture.shape[0], picture.shape[1]))), how)


def _feeders(found: SessionScan, layer: str, channel: int, patches: Sequence[Patch], job: Job) -> _Source:
    """Over the unit's own strongest pictures. Raises UserError, Cancelled."""
    network = found.session.load(job.should_stop)
    images = found.images(patches)
    positions = [patch.position for patch in patches]
    known = feeders(network.program, images, layer, channel, positions, job.should_stop)
    chosen, blocks = known.strongest(FEEDERS_SHOWN), dict[int, np.ndarray]()
    if known.layer in found.scan.top:
        below = found.patches(known.layer, chosen, job.should_stop, projections=False)
        blocks = {number: block([patch.pixels for patch in nine], CELL_PX) for number, nine in below}
    return _Source(feeders=known, blocks=blocks)


def _show(source: _Source) -> None:
    if source.filter is not None:
        st.image(source.filter, width=260, alt="The unit's filter")
        st.caption(source.how)
        return
    known = source.feeders
    if known is None:
        raise UserError("The layer has no filters that can be read.")
    tiles = [_tile(known, channel, (source.blocks or {}).get(channel)) for channel in known.strongest(FEEDERS_SHOWN)]
    components.tiles(tiles, None, open_unit(known.layer), key="atlas feeders", columns=4)
    st.caption(markdown_safe(
        f"Channels of {known.layer}, and what each adds to the activation: input × gradient, the mean over the nine "
        "pictures. A click opens the unit."
    ))  # fmt: skip


def _tile(known: Feeders, channel: int, picture: np.ndarray | None) -> Tile:
    share = float(known.contributions[channel])
    shown = block([], CELL_PX) if picture is None else picture
    return Tile(channel, raster.address(shown), f"{channel} · {share:+.2f}", f"channel {channel} of {known.layer}")
