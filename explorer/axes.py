"""Intervals of input pixels along one axis, for every position of a layer, and how layers carry them on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from explorer.reads import Reads

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Axis:
    """Output `q·period + r` sees the pixels `intervals[r]` (ends included) moved by q·advance; None sees nothing."""

    period: int
    advance: int
    intervals: tuple[Interval | None, ...]
    is_global: bool = False

    def interval(self, position: int) -> Interval | None:
        """First and last pixel that the position sees, padding not clipped."""
        q, r = divmod(position, self.period)
        found = self.intervals[r]
        return found and (found[0] + q * self.advance, found[1] + q * self.advance)

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


def compose(axis: Axis, step: Reads) -> Axis:
    """The axis after a layer that reads `step`: each position sees the hull of what its sources see."""
    if axis.advance == 0 and axis.period == 1:
        return axis
    repeats = 1 if step.advance == 0 else axis.period // gcd(step.advance, axis.period)
    period = repeats * step.period
    intervals = []
    for r in range(period):
        q, phase = divmod(r, step.period)
        intervals.append(span(axis.interval(q * step.advance + offset) for offset in step.offsets[phase]))
    advance = repeats * step.advance // axis.period * axis.advance
    return Axis(period, advance, tuple(intervals), axis.is_global)


def union(a: Axis, b: Axis, size: int) -> Axis:
    """What a position sees through two branches; branches that advance differently are listed for all `size`."""
    is_global = a.is_global or b.is_global
    aligned = a.advance * b.period == b.advance * a.period
    period = lcm(a.period, b.period) if aligned else size
    pairs = (filter(None, (a.interval(i), b.interval(i))) for i in range(period))
    advance = a.advance * (period // a.period) if aligned else max(round(x.stride * size) for x in (a, b))
    found = Axis(period, advance, tuple(span(pair) for pair in pairs), is_global)
    return hull(found, size) if is_global else found


def span(intervals: Iterable[Interval | None]) -> Interval | None:
    seen = [interval for interval in intervals if interval]
    return (min(s[0] for s in seen), max(s[1] for s in seen)) if seen else None


def hull(axis: Axis, size: int) -> Axis:
    """What all positions see together, for each of them."""
    last = range(max(0, size - axis.period), size)
    ends = (*range(min(axis.period, size)), *last)
    return Axis(1, 0, (span(axis.interval(i) for i in ends),), is_global=True)
