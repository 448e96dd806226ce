"""The pictures that excite each channel of a layer most (Zeiler and Fergus 2014, figure 2), as they come and go."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

NINE = 9  # as many as a block of the paper's figure shows


@dataclass(frozen=True, eq=False)
class TopNine:
    """The greatest activations of each channel of a layer, one a picture, greatest first: arrays [channels, 9].

    values: float32, -inf where there were fewer pictures. pictures: int64, the number of each in its set, -1 for none.
    rows, columns: int32, the position in the channel's map. Of equal values that of the lower number goes first, and
    within a picture the first position, row by row: so the result depends neither on how pictures were batched nor on
    the order in which they came.
    """

    values: np.ndarray
    pictures: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def empty(cls, channels: int) -> TopNine:
        """Of no picture."""
        types = (np.float32, np.int64, np.int32, np.int32)
        return cls(*(np.full((channels, NINE), none, kind) for none, kind in zip(_NONE, types, strict=True)))

    @classmethod
    def of_maxima(cls, values: np.ndarray, positions: np.ndarray, numbers: np.ndarray, columns: int) -> TopNine:
        """From the greatest value of each channel in some pictures, and its row × columns + column: [N, channels] each.

        numbers: [N], which the pictures have in their set, each once. Values that are not finite are passed over.
        """
        return cls.empty(values.shape[1]).with_maxima(values, positions, numbers, columns)

    def with_maxima(self, values: np.ndarray, positions: np.ndarray, numbers: np.ndarray, columns: int) -> TopNine:
        """The greatest of these and of pictures that are not among them, given as to `of_maxima`."""
        found = self._with_room(len(numbers))
        is_finite = np.isfinite(values).T
        found.values[:, NINE:] = np.where(is_finite, values.T, -np.inf)
        found.pictures[:, NINE:] = np.where(is_finite, numbers, -1)
        found.rows[:, NINE:], found.columns[:, NINE:] = np.divmod(np.where(is_finite, positions.T, 0), columns)
        return found._sorted()

    @property
    def channels(self) -> int:
        """How many channels the layer has."""
        return len(self.values)

    def count(self, channel: int) -> int:
        """How many of a channel's nine there are."""
        return int((self.pictures[channel] >= 0).sum())

    def is_dead(self, channel: int) -> bool:
        """Whether the channel's greatest value is 0, as of a rectified one that no picture excites."""
        return float(self.values[channel, 0]) == 0

    def of(self, channels: np.ndarray) -> TopNine:
        """Those of some channels, by a mask or by numbers."""
        return TopNine(*(getattr(self, each.name)[channels] for each in fields(self)))

    def merged(self, other: TopNine) -> TopNine:
        """The greatest of both; a picture that both have, with the same value, counts once.

        In whatever order and grouping parts are merged, and however often one of them, the result is the same.
        """
        both = self._with_room(NINE)
        for each in fields(self):
            getattr(both, each.name)[:, NINE:] = getattr(other, each.name)
        is_again = (self.pictures[:, :, None] == other.pictures[:, None, :]).any(1)
        for each, nothing in zip(fields(self), _NONE, strict=True):
            getattr(both, each.name)[:, NINE:][is_again] = nothing
        return both._sorted()

    def replaced(self, channels: np.ndarray, new: TopNine) -> TopNine:
        """With those of some channels, a mask [channels], in the place of what they had."""
        parts = list[np.ndarray]()
        for each in fields(self):
            parts.append(getattr(self, each.name).copy())
            parts[-1][channels] = getattr(new, each.name)
        return TopNine(*parts)

    def _with_room(self, count: int) -> TopNine:
        """With so many more, as yet empty, of each channel."""
        arrays = [np.full((self.channels, NINE + count), nothing, getattr(self, each.name).dtype)
                  for each, nothing in zip(fields(self), _NONE, strict=True)]  # fmt: skip
        for each, array in zip(fields(self), arrays, strict=True):
            array[:, :NINE] = getattr(self, each.name)
        return TopNine(*arrays)

    def _sorted(self) -> TopNine:
        """In the order that the class states, cut after nine."""
        order = np.lexsort((self.pictures, -self.values), axis=1)[:, :NINE]
        return TopNine(*(np.take_along_axis(getattr(self, each.name), order, 1) for each in fields(self)))


_NONE = (-np.inf, -1, 0, 0)  # values, picture, row and column where there are fewer than nine
