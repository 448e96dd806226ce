"""Intervals of input pixels along one axis, for every position of a layer, and how layers carry them on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm

from explorer.reads import Reads

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Axis:
    """Output `q·period + r` sees the pixels `intervals[r]` (ends included) moved by q·advance; None sees nothing.

    limit: the pixels that the positions of the map see together. A window that reaches beyond the map reads padding
    there, and not the pixels that a map with more positions would have seen (a stride leaves some over).
    """

    period: int
    advance: int
    intervals: tuple[Interval | None, ...]
    limit: Interval | None
    is_global: bool = False

    def interval(self, position: int) -> Interval | None:
        """First and last pixel that the position sees, padding not clipped."""
        q, r = divmod(position, self.period)
        found = self.intervals[r]
        return found and (found[0] + q * self.advance, found[1] + q * self.advance)

    def visible(self, position: int) -> Interval | None:
        """First and last pixel of the image that the position sees."""
        return _common(self.interval(position), self.limit)

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


def compose(axis: Axis, step: Reads, size: int) -> Axis:
    """The axis after a layer of `size` positions that reads `step`: each sees the hull of what its sources see."""
    if axis.advance == 0 and axis.period == 1:
        return axis
    repeats = 1 if step.advance == 0 else axis.period // gcd(step.advance, axis.period)
    period = repeats * step.period
    intervals = []
    for r in range(period):
        q, phase = divmod(r, step.period)
        intervals.append(span(axis.interval(q * step.advance + offset) for offset in step.offsets[phase]))
    advance = repeats * step.advance // axis.period * axis.advance
    return bounded(Axis(period, advance, tuple(intervals), axis.limit, axis.is_global), size)


def bounded(axis: Axis, size: int) -> Axis:
    """The axis with its limit narrowed to what `size` positions see of it."""
    return replace(axis, limit=span(axis.visible(i) for i in _ends(axis, size)))


def union(a: Axis, b: Axis, size: int) -> Axis:
    """What a position sees through two branches; branches that advance differently are listed for all `size`."""
    is_global = a.is_global or b.is_global
    aligned = a.advance * b.period == b.advance * a.period
    period = lcm(a.period, b.period) if aligned else size
    pairs = ((a.interval(i), b.interval(i)) for i in range(period))
    advance = a.advance * (period // a.period) if aligned else max(round(x.stride * size) for x in (a, b))
    found = Axis(period, advance, tuple(span(pair) for pair in pairs), span((a.limit, b.limit)), is_global)
    return hull(found, size) if is_global else found


def span(intervals: Iterable[Interval | None]) -> Interval | None:
    seen = [interval for interval in intervals if interval]
    return (min(s[0] for s in seen), max(s[1] for s in seen)) if seen else None


def hull(axis: Axis, size: int) -> Axis:
    """What all positions see together, for each of them."""
    seen = span(axis.interval(i) for i in _ends(axis, size))
    return Axis(1, 0, (seen,), axis.limit, is_global=True)


def _ends(axis: Axis, size: int) -> list[int]:
    """The first and the last positions, one period each: together they see all that a map of `size` positions sees."""
    return [*range(min(axis.period, size)), *range(max(0, size - axis.period), size)]


def _common(a: Interval | None, b: Interval | None) -> Interval | None:
    """What two intervals share."""
    if not a or not b or max(a[0], b[0]) > min(a[1], b[1]):
        return None
    return max(a[0], b[0]), min(a[1], b[1])
