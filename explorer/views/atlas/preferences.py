"""Search by class or part: the units of a layer in the order of how much they prefer it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from explorer.atlas.search import Preferences, class_preferences, part_preferences
from explorer.errors import in_percent
from explorer.training.dataset import CLASSES, PARTS
from explorer.ui import state
from explorer.ui.awaited import awaited
from explorer.ui.jobs import Job
from explorer.ui.settings import Setting
from explorer.views.atlas.scans import SessionScan

_CLASS, _PART = "class:", "part:"
_OPTIONS = (
    "",
    *(_CLASS + name for name in CLASSES),
    *(_PART + name for name in sorted({part for parts in PARTS.values() for part in parts})),
)
SETTINGS = (Setting("prefers", "", choices=_OPTIONS, instead="the order by number"),)
_HELP = (
    "A class: how many of the unit's nine pictures are of it. A part: how much of what excites the unit in them, "
    "the energy of their projections, lies on it."
)


def control() -> None:
    """The choice of the class or part."""
    state.keep(st.selectbox, "prefers", "Units that prefer", state.get("prefers"), _choose, options=_OPTIONS,
               format_func=_title, help=_HELP, width=200)  # fmt: skip


def _choose(name: str) -> None:
    state.put("prefers", name)
    state.put("atlas_page", 1)


def _title(name: str) -> str:
    kind, _, inner = name.partition(":")
    return f"{inner.replace('_', ' ')} ({kind})" if name else "all, by number"


def ranked(found: SessionScan, layer: str) -> tuple[Sequence[int], Sequence[str]] | None:
    """The channels of the layer in the order that was chosen, and what is said of each; None while it is worked out.

    Raises UserError.
    """
    top, name = found.scan.of(layer), state.get("prefers")
    if not name:
        return range(top.channels), [""] * top.channels
    kind, _, inner = name.partition(":")
    known = class_preferences(found.pictures, top) if f"{kind}:" == _CLASS else _of_parts(found, layer)
    if known is None:
        return None
    ranking = dict.fromkeys(range(top.channels), 0.0) | known.shares.get(inner, {})
    channels = sorted(ranking, key=lambda channel: (-ranking[channel], channel))
    return channels, [f" · {in_percent(ranking[channel])}" for channel in channels]


def _of_parts(found: SessionScan, layer: str) -> Preferences | None:
    channels = list(range(found.scan.of(layer).channels))

    def work(job: Job) -> Preferences:
        network = found.session.load(job.should_stop)
        units = []
        for unit in found.patches(layer, channels, job.should_stop):
            units.append(unit)
            job.progress(len(units), len(channels))
        return part_preferences(found.pictures, network.preprocessing, units)

    return awaited("atlas parts", (*found.key, layer), "Looking where the units look", work)
