"""Feature evolution: what excites units after each epoch of a training, and when each layer comes to rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch

from explorer.analysis.evolution import Evolution, GrownUnit, evolution, grown_units
from explorer.analysis.structure import report
from explorer.analysis.trunk import trunk
from explorer.errors import UserError
from explorer.figures import evolution as figures
from explorer.figures import raster
from explorer.graph.trace import TracedProgram
from explorer.training.batches import normalise
from explorer.training.epochs import EVOLVED, epoch_files, epochs_row, load_epochs
from explorer.types import Box
from explorer.ui import components, state, unseen
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart
from explorer.ui.components import Tile
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.zeiler_fergus.panel import Panel

PICTURES_PX, FOLLOWED = 64, 200  # pictures of the unseen set
MOST_UNITS, FIRST_UNITS = 12, 6
MIDDLE = 3  # the layer that is shown first, of the trunk


@dataclass(frozen=True, eq=False)
class EpochRuns:
    """The network after each epoch, and what came of it on the pictures, uint8 [N, H, W, 3]."""

    programs: dict[int, TracedProgram]
    pictures: np.ndarray
    inputs: torch.Tensor
    found: Evolution


def render(session: Session) -> None:
    """Draw the curves, the slider over epochs, and the units of the layer."""
    epochs = tuple(epoch_files())
    if session.preset != EVOLVED or session.is_changed:
        st.info(f"This panel shows **{EVOLVED}**, as its weights after each epoch come with the program: not "
                f"{session.title}.", icon=":material/swap_horiz:")  # fmt: skip
    st.markdown(_about())
    followed = awaited("evolution", session.reader_key, "Drawing and running the pictures", _followed)
    if followed is None:
        return
    found = followed.found
    layer = _layer(found)
    channels = _channels(found, layer)
    _controls(found, layer, channels)
    epoch = state.control(st.select_slider, "epoch", "Epoch", options=list(epochs))
    units = awaited("grown units", (*session.reader_key, layer, channels), "Leading the signals back",
                    lambda job: _grown(followed, layer, channels, job))  # fmt: skip
    if units is not None:
        _units(followed, layer, channels, units, epoch)
    chart(figures.similarity_chart(found, epoch), "similarity")
    st.markdown(figures.settled_sentence(found))
    st.caption(f"Linear CKA of each layer's maps over {FOLLOWED} unseen pictures with those after the last epoch.")


def _about() -> str:
    row = epochs_row()
    return f"{EVOLVED} in a training of its own, of {row['epochs']} epochs on {row['train_items']:,} pictures."


# -- choices ----------------------------------------------------------------------------------------------------------


def _layer(found: Evolution) -> str:
    """That of the link, which is refused where there is none."""
    if state.get("grown_layer") > (count := len(found.layers)):
        state.refuse("grown_layer", f"is beyond the last layer, {count}; {MIDDLE} is shown")
    return found.layers[state.get("grown_layer") - 1]


def _channels(found: Evolution, layer: str) -> tuple[int, ...]:
    """Those of the link, which are refused where the layer has not all of them; else its strongest."""
    last = found.top[found.epochs[-1], layer].channels - 1
    if any(channel > last for channel in _numbers(state.get("grown"))):
        state.refuse("grown", f"is not of channels 0 to {last} of {layer}; the strongest are shown")
    return tuple(_numbers(state.get("grown"))) or found.strongest(layer, FIRST_UNITS)


def _controls(found: Evolution, layer: str, channels: Sequence[int]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.keep(
            st.selectbox, "grown layer", "Layer", found.layers.index(layer) + 1, _choose_layer,
            options=range(1, len(found.layers) + 1), format_func=lambda n: f"{n} · {found.layers[n - 1]}", width=200,
        )  # fmt: skip
        state.keep(
            st.multiselect, f"grown {layer}", "Channels", list(channels), _choose_channels,
            options=range(found.top[found.epochs[-1], layer].channels), max_selections=MOST_UNITS, width=420,
        )  # fmt: skip


def _choose_layer(number: int) -> None:
    state.put("grown_layer", number)
    state.put("grown", "")


def _choose_channels(channels: Sequence[int]) -> None:
    state.put("grown", ",".join(map(str, channels)))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _check_numbers(text: str) -> None:
    parts = text.split(",")
    if len(parts) > MOST_UNITS or not all(part.isdecimal() and len(part) <= 5 for part in parts):
        raise UserError(f"is not at most {MOST_UNITS} channels, as 3,17,40")


# -- work -------------------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=1, show_spinner=False)
def _followed(_job: Job) -> EpochRuns:
    drawn, _ = unseen.pictures(FOLLOWED, PICTURES_PX, _job.part(0, 2))
    inputs = normalise(torch.from_numpy(drawn).permute(0, 3, 1, 2).float().div(255))
    programs = load_epochs()
    layers = trunk(next(iter(programs.values())).graph)
    found = evolution(programs, inputs, layers, progress=_job.part(1, 2), cancel=_job.should_stop)
    return EpochRuns(programs, drawn, inputs, found)


def _grown(followed: EpochRuns, layer: str, channels: Sequence[int], job: Job) -> list[GrownUnit]:
    return grown_units(
        followed.found, followed.programs, followed.inputs, layer, channels, progress=job.progress,
        cancel=job.should_stop,
    )  # fmt: skip


# -- the units --------------------------------------------------------------------------------------------------------


def _units(followed: EpochRuns, layer: str, channels: Sequence[int], units: Sequence[GrownUnit], epoch: int) -> None:
    """Those after the chosen epoch, the projection beside what is seen of the picture; and all epochs on one sheet."""
    program = next(iter(followed.programs.values()))
    field = report(program, program.module)[layer]

    def seen(unit: GrownUnit) -> Box:
        size = followed.pictures.shape[1:3]
        return field.local_receptive_field.box(*unit.projection.position) if field.is_map else (0, 0, *size)

    pictures = figures.grown_pictures(units, followed.pictures.__getitem__, seen)
    now = [(unit, both) for unit, both in zip(units, pictures, strict=True) if unit.epoch == epoch]
    for title, part, column in zip(("Projection", "Picture"), (0, 1), st.columns(2, gap="large"), strict=True):
        with column:
            st.markdown(f"**{title}**, after epoch {epoch}")
            tiles = [_tile(unit, both[part]) for unit, both in now]
            components.tiles(tiles, None, _pass, key=f"grown {title}", columns=6)
    st.markdown("**All epochs**")
    sheet = figures.growth_sheet(followed.found, channels, units, [both[0] for both in pictures])
    st.image(sheet, alt=f"Projections of channels of {layer}, a row each, over the epochs")
    st.caption(markdown_safe(
        f"A row for each of the channels {', '.join(map(str, channels))}; a column for each of the epochs "
        f"{', '.join(map(str, followed.found.epochs))}. The picture that excites a channel most may change."
    ))  # fmt: skip


def _tile(unit: GrownUnit, picture: Any) -> Tile:
    hint = f"picture {unit.image}, row {unit.projection.position[0]}, column {unit.projection.position[1]}"
    return Tile(unit.channel, raster.address(picture), f"{unit.channel} · {unit.projection.activation:.3g}", hint)


def _pass(channel: int) -> None:
    """A click on a unit chooses nothing."""


PANEL = Panel(
    "evolution", "Evolution", "figure 4", 20,
    "Low layers come to rest within a few epochs, high layers only after many.",
    render, (
        Setting("epoch", max(epoch_files()), choices=lambda: tuple(epoch_files())),
        Setting("grown_layer", MIDDLE, low=1, high=99),
        Setting("grown", "", check=_check_numbers, instead="the strongest of the layer"),
    ),
    of_network=False,
)  # fmt: skip
