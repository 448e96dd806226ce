"""First-layer filters: the dead and the aliased ones, beside another network's, as 11×11 s4 beside 7×7 s2."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from explorer.analysis.first_layer import FirstLayer, first_layer
from explorer.errors import UserError, in_percent
from explorer.figures import filters as pictures
from explorer.figures import first_layer as figures
from explorer.figures import raster
from explorer.images.preprocess import ColourOrder
from explorer.networks import catalog
from explorer.ui import components, state, unseen
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart
from explorer.ui.components import Tile
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.zeiler_fergus.asked import is_asked
from explorer.views.zeiler_fergus.panel import Panel
from models.weights.sources import shipped_rows

JUDGED_ON = 200
_PARTS = 4  # of the job: of both networks, the pictures are drawn and run
ALEXNET, ZFNET = "alexnet_mini", "zfnet_mini"  # 11×11 with stride 4, and 7×7 with stride 2


def render(session: Session) -> None:
    """Draw both networks' filters side by side, and their spectra."""
    state.control(
        st.selectbox, "first_beside", "Beside", options=["", *_trained()], width=260,
        format_func=lambda name: name or f"{_usual(session)} (as the paper's)",
    )  # fmt: skip
    rival = state.get("first_beside") or _usual(session)
    key = (*session.reader_key, rival)
    if not is_asked("first layer", key, _macs(session), JUDGED_ON, max(session.input_size[1:])):
        return
    found = awaited("first layer", key, "Drawing and running the pictures", lambda job: _both(session, rival, job))
    if found is None:
        return
    own, other = found
    left, right = st.columns(2, gap="large")
    with left:
        _filters(session.preset, own, session.preprocessing.order)
    with right:
        _filters(rival, other)
    both = {f"{name}: {figures.plan(one)}": one for name, one in ((session.preset, own), (rival, other))}
    chart(figures.spectrum_chart(both), "spectrum")
    st.caption(f"{figures.FILTER_MARKS} Activations over {JUDGED_ON} unseen pictures of the program's own set.")


def _usual(session: Session) -> str:
    return ZFNET if session.preset.startswith("alexnet") else ALEXNET


@cache
def _trained() -> list[str]:
    return sorted(shipped_rows())


def _macs(session: Session) -> int:
    """Of the pictures through the first convolution."""
    return JUDGED_ON * next((layer.macs or 0 for layer in session.analysis.layers if layer.kind == "conv"), 0)


def _both(session: Session, rival: str, job: Job) -> tuple[FirstLayer, FirstLayer]:
    return _of(session, job), _of_trained(rival, session.device, job)


def _of(session: Session, job: Job) -> FirstLayer:
    drawn, _ = unseen.pictures(JUDGED_ON, max(session.input_size[1:]), job.part(0, _PARTS))
    program = session.load(job.should_stop).program
    images = unseen.inputs(session, drawn)
    return first_layer(program, images, progress=job.part(1, _PARTS), cancel=job.should_stop)


def _of_trained(name: str, device: str, job: Job) -> FirstLayer:
    loaded = catalog.load(catalog.find(name), catalog.weights_source(name), device, cancel=job.should_stop)
    drawn, _ = unseen.pictures(JUDGED_ON, loaded.preprocessing.crop[0], job.part(2, _PARTS))
    images = unseen.tensors(loaded.preprocessing, drawn).to(device)
    try:
        return first_layer(loaded.program, images, progress=job.part(3, _PARTS), cancel=job.should_stop)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def _filters(name: str, found: FirstLayer, order: ColourOrder = "RGB") -> None:
    st.markdown(f"**{markdown_safe(name)}** · {figures.plan(found)}  \n{figures.summary(found)}")
    chosen = figures.order(found)
    drawn, how = pictures.filter_pictures(found.filters, chosen, order=order)
    tiles = [_tile(found, channel, picture) for channel, picture in zip(chosen, drawn, strict=True)]
    components.tiles(tiles, None, _pass, key=f"first layer {name} {found.size}", columns=6)
    st.caption(how)


def _tile(found: FirstLayer, channel: int, picture: Any) -> Tile:
    word = figures.mark(found, channel)
    hint = f"{in_percent(found.beyond[channel])} of its energy is beyond the stride; greatest activation "
    return Tile(
        channel,
        raster.address(picture),
        f"{channel} · {word}" if word else str(channel),
        f"{hint}{found.strongest[channel]:.3g}",
    )


def _pass(channel: int) -> None:
    """A click on a filter chooses nothing."""


PANEL = Panel(
    "first_layer", "First-layer filters", "figure 6", 60,
    "AlexNet's 11×11 filters with stride 4 leave out the middle frequencies and alias; 7×7 with stride 2 do so less.",
    render, (Setting("first_beside", "", choices=lambda: ("", *_trained())),),
)  # fmt: skip
