"""What stands side by side in the Blocks view: two to four blocks, each with its knobs, and the input of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

import models
from explorer.analysis.structure import Analysis, analyze
from explorer.errors import UserError
from explorer.networks.budget import in_slot, is_narrow
from explorer.networks.catalog import spec_key
from explorer.types import InputSize
from explorer.ui import state
from explorer.ui.settings import KnobSet, Setting
from models.spec import Spec

PLACES = (1, 2, 3, 4)
FEWEST = 2
_FIRST = {1: "residual_bottleneck", 2: "inverted_residual", 3: "", 4: ""}
_NEXT = ("mbconv", "convnext", "residual_basic", "depthwise_separable")  # what a new column begins with


def _names() -> tuple[str, ...]:
    return tuple(block.name for block in models.blocks())


SETTINGS = (
    *(Setting(f"block{place}", _FIRST[place], choices=_names) for place in PLACES[:FEWEST]),
    *(Setting(f"block{place}", "", choices=lambda: ("", *_names())) for place in PLACES[FEWEST:]),
    Setting("input_channels", 64, low=1, high=2048),
    Setting("input_height", 56, low=1, high=512),
    Setting("input_width", 56, low=1, high=512),
)


def _spec(values: Mapping[str, Any], place: int) -> Spec | None:
    name = values[f"block{place}"]
    return in_slot(models.block(name), values["input_channels"]) if name else None


def _knob_set(place: int) -> KnobSet:
    return KnobSet(
        f"k{place}.", lambda values: _spec(values, place), lambda values: f"{place} {values[f'block{place}']}",
        title=f"block {place}", origin="default", fixed=("in_channels",),
    )  # fmt: skip


KNOBS = tuple(map(_knob_set, PLACES))


@dataclass(frozen=True, eq=False)
class Built:
    """A block that can be built on the common input: its Spec and what follows from it."""

    spec: Spec
    analysis: Analysis


@dataclass(frozen=True, eq=False)
class Slot:
    """One column: a block and its knobs. error: why there is nothing built."""

    place: int
    block: models.Block
    knobs: KnobSet
    label: str
    built: Built | None = None
    error: str | None = None


def input_size() -> InputSize:
    """(channels, height, width) of the input that all blocks get."""
    return state.get("input_channels"), state.get("input_height"), state.get("input_width")


def places() -> list[int]:
    """The places that hold a block."""
    return [place for place in PLACES if state.get(f"block{place}")]


def current() -> list[Slot]:
    """The columns from left to right."""
    names = [state.get(f"block{place}") for place in places()]
    return [_slot(place, names.count(state.get(f"block{place}")) > 1) for place in places()]


def _slot(place: int, is_twin: bool) -> Slot:
    block, of = models.block(state.get(f"block{place}")), KNOBS[place - 1]
    label = f"{block.title} ({place})" if is_twin else block.title
    try:
        spec = block.spec.parse(state.knob_values(of))
        label += " as a bottleneck" if is_narrow(spec) else ""
        return Slot(place, block, of, label, Built(spec, _analysis(spec_key(spec), input_size(), spec)))
    except UserError as error:
        return Slot(place, block, of, label, error=str(error))


@st.cache_resource(max_entries=256, show_spinner=False)
def _analysis(key: str, size: InputSize, _spec: Spec) -> Analysis:
    return analyze(models.build(_spec, device="meta"), size)


# -- what a person does -----------------------------------------------------------------------------------------------


def choose(place: int, name: str) -> None:
    """Put another block in a place, with its own defaults."""
    state.put(f"block{place}", name)
    state.clear_knobs(of=KNOBS[place - 1])


def add() -> None:
    """One more column, with a block that is not there yet."""
    taken = [state.get(f"block{place}") for place in places()]
    free = next(place for place in PLACES if place not in places())
    choose(free, next(name for name in _NEXT if name not in taken))


def remove(place: int) -> None:
    """Take a column away; those on its right move up with their knobs."""
    left = [(state.get(f"block{p}"), state.knobs(KNOBS[p - 1])) for p in places() if p != place]
    for target in PLACES:
        name, knobs = left[target - 1] if target <= len(left) else ("", {})
        choose(target, name)
        if name:
            state.put_knobs(knobs, KNOBS[target - 1])
