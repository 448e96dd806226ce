"""Measured latency of the blocks in the Blocks view, at two batches."""

from __future__ import annotations

from collections.abc import Sequence

import models
from explorer.analysis.latency import Latency
from explorer.networks.catalog import Network
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
    spec, size = slot.built.spec, lineup.input_size()
    network = Network(slot.block.name, lambda device: models.build(spec, device=device), size, spec)
    return Task(network, models.architecture_for(spec).title, slot.built.analysis, size, batch, session.device)


def of(slot: Slot, batch: int, session: Session) -> Latency | None:
    """What was measured of a column; None where nothing was, or it could not be."""
    if slot.built is None or not state.get("measured"):
        return None
    return timing.of(_task(slot, batch, session))
