"""Intervals of input pixels along one axis, for every position of a layer, and how layers carry them on.

They are kept in two forms. Without regard to the image's ends they repeat, as in the closed forms of the literature:
that gives size, stride and padding. With regard to them every position has its own: a window that reaches beyond the
map reads padding there, and not the pixels that a larger map would have seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from explorer.receptive_field.taps import ONE_TO_ONE, Taps

Interval = tuple[int, int]

NOTHING = (2**31, -1)  # first and last pixel of a position that sees only padding


@dataclass(frozen=True, slots=True)
class Axis:
    """Output `q·period + r` sees the pixels `intervals[r]` (ends included) moved by q·advance; None sees nothing.

    seen: first and last pixel of the image that each position sees, [2, positions].
    """

    period: int
    advance: int
    intervals: tuple[Interval | None, ...]
    seen: np.ndarray = field(compare=False)
    is_global: bool = False

    def interval(self, position: int) -> Interval | None:
        """First and last pixel that the position sees, padding not clipped."""
        q, r = divmod(position, self.period)
        found = self.intervals[r]
        return found and (found[0] + q * self.advance, found[1] + q * self.advance)

    def visible(self, position: int) -> Interval | None:
        """First and last pixel of the image that the position sees; None where it sees only padding."""
        first, last = self.seen[:, position if self.seen.shape[1] > 1 else 0].tolist()
        return (first, last) if first <= last else None

    @property
    def stride(self) -> Fraction:
        """Input pixels from one position to the next."""
        return Fraction(self.advance, self.period)

    @property
    def size(self) -> int:
        """Pixels that one position sees: the most over all phases, padding not clipped."""
        return max((last - first + 1 for first, last in filter(None, self.intervals)), default=0)

    @property
    def padding(self) -> Fraction:
        """How far the field of position 0 begins before the image (the phase that reaches out most)."""
        starts = [seen[0] - r * self.stride for r, seen in enumerate(self.intervals) if seen]
        return -min(starts, default=Fraction(0))


def pixels(size: int) -> Axis:
    """The image itself: each position sees its own pixel."""
    return Axis(1, 1, ((0, 0),), np.tile(np.arange(size), (2, 1)))


def blind(size: int) -> Axis:
    """Positions that see no pixel."""
    return Axis(1, 0, (None,), np.array(NOTHING)[:, None].repeat(size, axis=1))


def compose(axis: Axis, step: Taps, size: int) -> Axis:
    """The axis after a layer of `size` positions that reads `step`: each sees the hull of what its sources see."""
    if step == ONE_TO_ONE and size == axis.seen.shape[1]:
        return axis
    seen = _carried(axis.seen, step, size)
    if axis.advance == 0 and axis.period == 1:
        return Axis(1, 0, axis.intervals, seen, axis.is_global)
    repeats = 1 if step.advance == 0 else axis.period // gcd(step.advance, axis.period)
    period = repeats * step.period
    intervals: list[Interval | None] = []
    for r in range(period):
        q, phase = divmod(r, step.period)
        intervals.append(span(axis.interval(q * step.advance + offset) for offset in step.offsets[phase]))
    advance = repeats * step.advance // axis.period * axis.advance
    return Axis(period, advance, tuple(intervals), seen, axis.is_global)


def _carried(seen: np.ndarray, step: Taps, size: int) -> np.ndarray:
    """What `size` positions see that read `step` of positions that see `seen`; [2, size]."""
    count = seen.shape[1]
    read = inside(sources(step, size), count, step.border)
    read[(read < 0) | (read >= count)] = count  # where the last column, of nothing, stands for padding
    known = np.empty((2, count + 1), seen.dtype)
    known[:, :count], known[:, count] = seen, NOTHING
    found = np.empty((2, size), seen.dtype)
    known[0].take(read).min(axis=1, initial=NOTHING[0], out=found[0])
    known[1].take(read).max(axis=1, initial=NOTHING[1], out=found[1])
    return found


def sources(step: Taps, size: int) -> np.ndarray:
    """The positions that each of `size` positions reads, [size, most that one reads]; filled up with ones outside."""
    if step.period == 1:
        return step.advance * np.arange(size)[:, None] + np.array(step.offsets[0], int)
    width = max(map(len, step.offsets))
    outside = -1 - size * step.advance  # an offset that no position of the map has
    offsets = np.array([(*phase, *(outside,) * (width - len(phase))) for phase in step.offsets], int)
    turns, phases = np.divmod(np.arange(size), step.period)
    return offsets.reshape(len(step.offsets), width)[phases] + step.advance * turns[:, None]


def inside(read: np.ndarray, count: int, border: str) -> np.ndarray:
    """Where padding repeats positions of a map of `count`: those. Padding with zeros stays outside."""
    match border:
        case "circular":
            return read % count
        case "replicate":
            return read.clip(0, count - 1)
        case "reflect":
            return count - 1 - abs(count - 1 - abs(read))
        case _:
            return read


def union(branches: Sequence[Axis], size: int) -> Axis:
    """What a position sees through all branches; those that advance differently are listed for all `size`."""
    branches = list({id(axis): axis for axis in branches}.values())
    if len(branches) == 1:
        return branches[0]
    aligned = len({axis.stride for axis in branches}) == 1
    period = lcm(*(axis.period for axis in branches)) if aligned else size
    intervals = tuple(span(axis.interval(i) for axis in branches) for i in range(period))
    advance = int(branches[0].stride * period) if aligned else max(round(axis.stride * size) for axis in branches)
    first = np.minimum.reduce([axis.seen[0] for axis in branches])
    last = np.maximum.reduce([axis.seen[1] for axis in branches])
    is_global = any(axis.is_global for axis in branches)
    found = Axis(period, advance, intervals, np.stack([first, last]), is_global)
    return _without_positions(found, size) if is_global else found


def hull(axis: Axis, size: int) -> Axis:
    """What all positions see together, for each of them."""
    together = np.array([[axis.seen[0].min()], [axis.seen[1].max()]])
    return _without_positions(axis, size, together.repeat(axis.seen.shape[1], axis=1))


def _without_positions(axis: Axis, size: int, seen: np.ndarray | None = None) -> Axis:
    """The axis as one that every unit sees whole; what is padding only stays so in `seen`."""
    ends = [*range(min(axis.period, size)), *range(max(0, size - axis.period), size)]
    intervals = (span(axis.interval(i) for i in ends),)
    return Axis(1, 0, intervals, axis.seen if seen is None else seen, is_global=True)


def spread(axis: Axis, size: int) -> Axis:
    """One position broadcast over `size`: each of them sees what the one sees."""
    return Axis(1, 0, (axis.interval(0),), axis.seen[:, :1].repeat(size, axis=1), axis.is_global)


def joined(parts: list[Axis]) -> Axis:
    """Maps side by side along this axis: each position keeps what it sees."""
    intervals = tuple(part.interval(i) for part in parts for i in range(part.seen.shape[1]))
    seen = np.concatenate([part.seen for part in parts], axis=1)
    return Axis(len(intervals), int(parts[0].stride * len(intervals)), intervals, seen, all(p.is_global for p in parts))


def span(intervals: Iterable[Interval | None]) -> Interval | None:
    """The least interval that holds all of them."""
    seen = [interval for interval in intervals if interval]
    return (min(s[0] for s in seen), max(s[1] for s in seen)) if seen else None
