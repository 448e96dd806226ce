"""Ranks and lanes of a small graph: how far down each box stands, and in which column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lanes:
    """By name: the rank from the top, and the lane, 0 in the middle, then 1, -1, 2, -2 …"""

    rank: dict[str, int]
    lane: dict[str, int]


def lanes(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> Lanes:
    """Place boxes, given in topological order: each below all that it reads, the longest way in one lane, and then
    the longest of what is left, each in the nearest lane that is free where it leaves, runs and comes back."""
    sources: dict[str, list[str]] = {name: [] for name in names}
    readers: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        sources[target].append(source)
        readers[source].append(target)
    rank: dict[str, int] = {}
    for name in names:
        rank[name] = max((rank[source] + 1 for source in sources[name]), default=0)
    lane: dict[str, int] = {}
    taken: dict[int, set[int]] = {}
    while len(lane) < len(names):
        way = _longest([name for name in names if name not in lane], sources)
        first = max((rank[one] + 1 for one in sources[way[0]]), default=rank[way[0]])
        last = max((rank[one] - 1 for one in readers[way[-1]]), default=rank[way[-1]])
        rows = set(range(min(first, rank[way[0]]), max(last, rank[way[-1]]) + 1))
        place = next(n for n in _outwards(len(names)) if not rows & taken.get(n, set()))
        taken.setdefault(place, set()).update(rows)
        lane |= dict.fromkeys(way, place)
    return Lanes(rank, lane)


def _longest(names: Sequence[str], sources: dict[str, list[str]]) -> list[str]:
    """The longest way through these boxes alone; of equal ones that which comes first."""
    before: dict[str, str | None] = {}
    length: dict[str, int] = {}
    for name in names:
        known = [source for source in sources[name] if source in length]
        best = max(known, key=lambda source: length[source], default=None)
        before[name], length[name] = best, 1 + (length[best] if best else 0)
    way: list[str] = []
    step: str | None = max(names, key=lambda name: length[name])
    while step:
        way.append(step)
        step = before[step]
    return way[::-1]


def _outwards(count: int) -> Iterable[int]:
    yield 0
    for number in range(1, count + 1):
        yield from (number, -number)
