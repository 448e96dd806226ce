"""Measured latency of the blocks in the Blocks view, at two batches."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.analysis.latency import Latency
from explorer.ui import state, timing
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.timing import Task
from explorer.views.blocks import lineup
from explorer.views.blocks.lineup import Slot

BATCHES = (1, 32)
SETTINGS = (Setting("measured", False),)


def render(slots: Sequence[Slot], session: Session) -> None:
    """The button that measures, the job at work with *Stop*, and what was measured how."""
    there = [slot for slot in slots if slot.built]
    timing.render([_task(slot, batch, session) for slot in there for batch in BATCHES], session, "measured")


def _task(slot: Slot, batch: int, session: Session) -> Task:
    assert slot.built
    return Task(slot.built.spec, slot.built.analysis, lineup.input_size(), batch, session.device)


def of(slot: Slot, batch: int, session: Session) -> Latency | None:
    """What was measured of a column; None where nothing was, or it could not be."""
    if slot.built is None or not state.get("measured"):
        return None
    return timing.of(_task(slot, batch, session))
