"""How an occlusion keeps within a budget of memory: batches as large as it allows, by what they are seen to take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

from explorer.analysis.incremental.batches import Position
from explorer.analysis.passes import Passes
from explorer.analysis.peak_memory import grown_bytes
from explorer.analysis.sliding import Method, Slide, Sliding, sliding
from explorer.errors import MemoryLimitError
from explorer.run.device import format_bytes

Levels = Sequence[Sequence[Position]]
Batches = list[list[Position]]


@dataclass(frozen=True)
class Batching:
    """size: positions at a time, by default what is best; memory_bytes: the most that a run may take beside the weights
    and the image, by default what is best as well."""

    size: int | None = None
    memory_bytes: int | None = None


def planned(
    network: Passes, slide: Slide, levels: Levels, method: Method, batching: Batching
) -> tuple[Sliding, Batches]:  # fmt: skip
    """The way of a method (see `sliding`), and which positions are run together.

    Where not even one position fits by the way that "auto" would take, whole passes are tried, which keep nothing.
    Raises as `sliding`, and MemoryLimitError with what one position takes.
    """
    if batching.memory_bytes is None:
        way = sliding(network, slide, levels, method)
        return way, way.batches(levels, batching.size)
    try:
        return _within(batching.memory_bytes, network, slide, levels, method, batching.size)
    except MemoryLimitError:
        if method != "auto":
            raise
        return _within(batching.memory_bytes, network, slide, levels, "full", batching.size)


def _within(
    budget: int, network: Passes, slide: Slide, levels: Levels, method: Method, size: int | None
) -> tuple[Sliding, Batches]:
    made: list[Sliding] = []
    taken = grown_bytes(lambda: made.append(sliding(network, slide, levels, method)), slide.image.device)
    if taken is not None and taken > budget:
        raise _too_small(budget, taken)
    return made[0], _fitting(made[0], slide, levels, size, budget)


def _fitting(way: Sliding, slide: Slide, levels: Levels, size: int | None, budget: int) -> Batches:
    """Batches whose peak keeps within the budget.

    What n positions take, divided by n, never grows with n. So from a batch that was measured follows a larger one that
    fits as well, until that is the same.
    """
    usual = way.batches(levels, size)
    most, allowed = len(max(usual, key=len)), 1
    while True:
        batches = way.batches(levels, allowed)
        tried = way.largest(batches)
        taken = grown_bytes(_running(way, tried), slide.image.device)
        if taken is None:
            return usual
        fitting = min(most, len(tried) * max(0, budget - way.held_bytes) // max(1, taken))
        if not fitting:
            raise _too_small(budget, way.held_bytes + taken)
        if fitting <= allowed:
            return way.batches(levels, fitting)
        allowed = fitting


def _running(way: Sliding, positions: list[Position]) -> Callable[[], object]:
    return lambda: deque(way.run(positions), maxlen=0)


def _too_small(budget: int, needed: int) -> MemoryLimitError:
    return MemoryLimitError(
        f"memory_bytes={budget} is less than what one position takes: {format_bytes(_rounded_up(needed))}."
    )


def _rounded_up(count: int) -> int:
    """Bytes as a person may give them back: the next number of three digits and zeros."""
    step = 10 ** max(0, floor(log10(max(1, count))) - 2)
    return -(-count // step) * step
