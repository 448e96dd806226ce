"""Where squares reach along one axis of a map: the positions that each of them may change, layer after layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.graph.layers import Window


@dataclass(frozen=True, eq=False)
class Span:
    """The positions first … stop − 1, out of `size`, that each of several squares may change; none where first = size.

    first, stop: one number per square.
    """

    first: np.ndarray
    stop: np.ndarray
    size: int

    @classmethod
    def within(cls, first: np.ndarray, stop: np.ndarray, size: int) -> Span:
        """The part of it that lies on the map."""
        first, stop = np.maximum(first, 0), np.minimum(stop, size)
        reached = first < stop
        return cls(np.where(reached, first, size), np.where(reached, stop, 0), size)

    def through(self, window: Window, axis: int, size: int) -> Span:
        """The outputs, of `size`, whose window meets it: output o reads o·stride − padding + k·dilation."""
        stride, before = window.stride[axis], window.padding[axis]
        reach = (window.kernel[axis] - 1) * window.dilation[axis]
        first = -((reach - before - self.first) // stride)
        stop = (self.stop - 1 + before) // stride + 1
        return Span.within(np.where(self.lengths > 0, first, size), np.where(self.lengths > 0, stop, 0), size)

    def moved(self, by: int, size: int) -> Span:
        """The same positions in a map of `size` that begins `by` positions earlier."""
        return Span.within(self.first + by, self.stop + by, size)

    def equals(self, other: Span) -> bool:
        """Whether both are the same positions of maps of one size."""
        alike = self.size == other.size and (self.first == other.first).all() and (self.stop == other.stop).all()
        return bool(alike)

    @property
    def lengths(self) -> np.ndarray:
        """How many positions each square may change."""
        return np.maximum(self.stop - self.first, 0)

    @property
    def mean(self) -> float:
        """The mean share of the axis that a square may change."""
        return float(self.lengths.mean()) / self.size


def union(spans: Sequence[Span]) -> Span:
    """What a square may change in any of several maps of one size."""
    first = np.minimum.reduce([span.first for span in spans])
    return Span(first, np.maximum.reduce([span.stop for span in spans]), spans[0].size)


@dataclass(frozen=True, eq=False)
class Stretch:
    """Equally long pieces of an axis, one for each image of a batch: `length` positions from first[n] on.

    Those of padding count on beyond the map: below 0, and from its size on.
    """

    first: np.ndarray
    length: int

    @classmethod
    def of(cls, span: Span, squares: np.ndarray) -> Stretch:
        """What a batch of squares may change, each piece moved and grown to the longest within the map."""
        length = max(1, int(span.lengths[squares].max()))
        return cls(np.minimum(span.first[squares], span.size - length), length)

    def read_by(self, window: Window, axis: int) -> Stretch:
        """What a window reads of its input to compute these outputs."""
        stride, dilation = window.stride[axis], window.dilation[axis]
        length = (self.length - 1) * stride + (window.kernel[axis] - 1) * dilation + 1
        return Stretch(self.first * stride - window.padding[axis], length)

    def equals(self, other: Stretch) -> bool:
        """Whether both are the same pieces."""
        return self.length == other.length and bool((self.first == other.first).all())
