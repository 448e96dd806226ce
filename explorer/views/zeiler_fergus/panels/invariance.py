"""Invariance: how far features and the answer change as pictures move, and whether maps move along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from explorer.analysis.equivariance import Equivariance, equivariance
from explorer.analysis.invariance import Invariance, invariance, pools
from explorer.analysis.moving import MOVES, Move, amounts, moved
from explorer.analysis.trunk import trunk
from explorer.errors import UserError, in_percent
from explorer.figures import invariance as figures
from explorer.figures import raster
from explorer.graph.trace import TracedProgram
from explorer.ui import components, output_control, pictures, state, unseen
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart, table
from explorer.ui.components import Tile
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.zeiler_fergus.asked import is_asked
from explorer.views.zeiler_fergus.panel import Panel

PASSES_OF_SHIFTS = 2  # for a layer: two shifts of two passes each, to half of the depth on average
MOVED_SOURCES = {"unseen": "Unseen", "own": "Chosen in the sidebar"}
MOST_PICTURES, SHOWN, MOST_POOLS = 50, 7, 8


@dataclass(frozen=True, eq=False)
class MovedPictures:
    """What came of moving the pictures; strip: the first of them, uint8 [H, W, 3], moved by some of the amounts."""

    found: Invariance
    strip: tuple[tuple[float, np.ndarray], ...]


Taken = tuple[torch.Tensor, tuple[int, ...] | None]  # inputs [N, C, H, W], and their classes where these are known


def render(session: Session) -> None:
    """Draw the controls, both charts, and below them what becomes of maps."""
    every = trunk(session.analysis.graph)
    if not every:
        raise UserError("No layer of this network stands between all of the picture and all of the answer.")
    _controls()
    layers = every if state.get("every_layer") else tuple(dict.fromkeys((every[0], every[-1])))
    move, output, (named, take) = state.get("move"), output_control.chosen(), _pictures(session)
    drawn = len(named) if state.get("moved") == "unseen" else 0

    def work(job: Job) -> MovedPictures:
        program, (inputs, targets) = session.load(job.should_stop).program, take(job)
        by = amounts(move, session.input_size[1])
        progress = job.part(1, 2) if drawn else job.progress
        found = invariance(program, inputs, layers, move, by, targets, output=output, progress=progress,
                           cancel=job.should_stop)  # fmt: skip
        return MovedPictures(found, _strip(session, inputs[:1], move, by))

    key = (*session.reader_key, move, layers, named, output)
    macs = len(amounts(move, session.input_size[1])) * len(named) * session.analysis.macs
    if is_asked("invariance", key, macs, drawn, max(session.input_size[1:])):
        done = awaited("invariance", key, "Moving the pictures", work)
        if done is not None:
            _charts(session, done, len(named))
    st.subheader("Do maps move along?", anchor=False)
    key = (*session.key,)
    if not is_asked("equivariance", key, PASSES_OF_SHIFTS * len(every) * session.analysis.macs):
        return
    shifted = awaited("equivariance", key, "Shifting a picture", lambda job: _shifted(session, every, job))
    if shifted is not None:
        _table(shifted.moving)
        _pool_table(shifted.pooled)


def _controls() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.control(st.segmented_control, "move", "Move", options=list(MOVES), required=True,
                      wrap=True, format_func=figures.MOVE_TITLES.__getitem__)  # fmt: skip
        state.control(st.segmented_control, "moved", "Pictures", options=list(MOVED_SOURCES), required=True,
                      format_func=MOVED_SOURCES.__getitem__)  # fmt: skip
        if state.get("moved") == "unseen":
            state.control(st.number_input, "moved_count", "Number", min_value=1, max_value=MOST_PICTURES, step=1,
                          help="The paper has 5.", width=130)  # fmt: skip
        state.control(st.toggle, "every_layer", "All layers")


# -- pictures ---------------------------------------------------------------------------------------------------------


def _pictures(session: Session) -> tuple[tuple[str, ...], Callable[[Job], Taken]]:
    """What names the pictures that are moved, and how a job comes to them. Raises UserError where there are none."""
    if state.get("moved") == "unseen":
        count, size_px = state.get("moved_count"), max(session.input_size[1:])

        def draw(job: Job) -> Taken:
            images, labels = unseen.pictures(count, size_px, job.part(0, 2))
            known = tuple(int(label) for label in labels) if unseen.knows_classes(session) else None
            return unseen.inputs(session, images), known

        return tuple(f"unseen {number}" for number in range(count)), draw
    held = pictures.own("upload")[:MOST_PICTURES] if state.get("image") == "upload" else ()
    if not held:
        return (session.picture.digest,), lambda _: (session.input, None)

    def read(job: Job) -> Taken:
        del job
        whole = [session.preprocessing.tensor(picture.load().pixels) for picture in held]
        return torch.cat(whole).to(session.device, session.network.dtype), None

    return tuple(picture.digest for picture in held), read


def _strip(
    session: Session, image: torch.Tensor, move: Move, by: Sequence[float]
) -> tuple[tuple[float, np.ndarray], ...]:
    prepared = session.preprocessing
    places = dict.fromkeys(round(place) for place in np.linspace(0, len(by) - 1, SHOWN))
    return tuple((by[i], prepared.pixels(moved(image, move, by[i])[0].cpu())) for i in places)


# -- charts -----------------------------------------------------------------------------------------------------------


def _charts(session: Session, done: MovedPictures, count: int) -> None:
    tiles = [
        Tile(number, raster.address(picture), figures.amount_words(done.found.move, amount))
        for number, (amount, picture) in enumerate(done.strip)
    ]
    components.tiles(tiles, None, _pass, key="moved strip", columns=SHOWN)
    left, right = st.columns(2, gap="large")
    with left:
        chart(figures.distance_chart(done.found), f"distance {done.found.move}")
    with right:
        chart(figures.probability_chart(done.found), f"probability {done.found.move}")
    own = state.get("moved") == "unseen" and unseen.knows_classes(session)
    of = "true class" if own else "class that was the most probable before"
    over = "Of one picture." if count == 1 else f"Mean over {count} pictures with a band of one standard error."
    st.caption(f"{over} The probability is that of the {of}. What comes in at a border is a reflection.")


def _pass(number: int) -> None:
    """A click on a picture chooses nothing."""


# -- equivariance -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ShiftedPicture:
    """What a shift does to maps. moving: of each layer whose units look at places whole pixels apart, for its stride
    and for one pixel more. pooled: how far maps change by one pixel, those before each pool and those behind it."""

    moving: list[tuple[Equivariance, Equivariance]]
    pooled: list[tuple[str, float, float]]


def _shifted(session: Session, layers: Sequence[str], job: Job) -> ShiftedPicture:
    program, found = session.load(job.should_stop).program, list[tuple[Equivariance, Equivariance]]()
    for done, layer in enumerate(layers, start=1):
        whole = equivariance(program, session.input, layer, cancel=job.should_stop)
        if whole is not None:
            more = (whole.stride_px[0] + 1, whole.stride_px[1] + 1)
            other = equivariance(program, session.input, layer, more, cancel=job.should_stop)
            assert other is not None
            found.append((whole, other))
        job.progress(done, len(layers))
    return ShiftedPicture(found, _pooled(program, session.input, job))


def _pooled(program: TracedProgram, image: torch.Tensor, job: Job) -> list[tuple[str, float, float]]:
    """The first pools, how far the maps before each change, and its own."""
    pairs = pools(program.graph)[:MOST_POOLS]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    distances = invariance(program, image, names, "vertical", (1.0,), cancel=job.should_stop).distances[:, 0, 0]
    by_name = dict(zip(names, distances.tolist(), strict=True))
    return [(pool, by_name[before], by_name[pool]) for before, pool in pairs]


def _pool_table(pooled: Sequence[tuple[str, float, float]]) -> None:
    if not pooled:
        return
    rows = [{"Pool": pool, "Before": before, "Behind": behind} for pool, before, behind in pooled]
    table({
        "Pool": [markdown_safe(pool) for pool, _, _ in pooled],
        "Before": [in_percent(before) for _, before, _ in pooled],
        "Behind": [in_percent(behind) for _, _, behind in pooled],
    }, "pools", rows)  # fmt: skip
    st.caption(
        "How far maps change where the picture moves down by one pixel, as a share of their length, before each pool "
        "and behind it: pooling takes small shifts away in part."
    )


def _table(shifted: Sequence[tuple[Equivariance, Equivariance]]) -> None:
    if not shifted:
        st.caption("None of the layers looked at has units that see places of the picture a fixed step apart.")
        return
    rows = [
        {"Layer": whole.layer, "Stride, px": whole.stride_px[0], "Units": whole.positions,
         "Shifted by the stride": whole.error, "By one pixel more": other.error}
        for whole, other in shifted
    ]  # fmt: skip
    table({
        "Layer": [markdown_safe(whole.layer) for whole, _ in shifted],
        "Stride, px": [f"{whole.stride_px[0]}" for whole, _ in shifted],
        "Units": [f"{whole.positions:,}" for whole, _ in shifted],
        "Shifted by the stride": [figures.equivariance_words(whole) for whole, _ in shifted],
        "By one pixel more": [figures.equivariance_words(other) for _, other in shifted],
    }, "equivariance", rows)  # fmt: skip
    st.caption(
        "The picture at hand, shifted down and to the right: maps of the shifted picture beside the maps shifted. Only "
        "units count that see nothing beyond the picture, by their receptive field. Differences are the greatest, as a "
        "share of the greatest value."
    )


PANEL = Panel(
    "invariance", "Invariance", "figure 5", 30,
    "Small moves change the first layer's features a lot and the last layer's little; turning changes the answer.",
    render, (
        Setting("move", MOVES[0], choices=MOVES),
        Setting("moved", "unseen", choices=tuple(MOVED_SOURCES)),
        Setting("moved_count", 5, low=1, high=MOST_PICTURES),
        Setting("every_layer", False),
    ),
)  # fmt: skip
