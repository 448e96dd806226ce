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
        known = np.where(np.isfinite(values), values, -np.inf).astype(np.float32).T
        places = np.divmod(positions.T.astype(np.int32), np.int32(columns))
        pictures = np.where(np.isneginf(known), -1, numbers.astype(np.int64))
        return cls.empty(len(known)).merged(cls(known, pictures, *places)._sorted(NINE))

    @property
    def channels(self) -> int:
        """How many channels the layer has."""
        return len(self.values)

    def count(self, channel: int) -> int:
        """How many of a channel's nine there are."""
        return int((self.pictures[channel] >= 0).sum())

    def of(self, channels: np.ndarray) -> TopNine:
        """Those of some channels, by a mask or by numbers."""
        return TopNine(*(getattr(self, each.name)[channels] for each in fields(self)))

    def merged(self, other: TopNine) -> TopNine:
        """The greatest of both; a picture that both have counts once.

        In whatever order and grouping parts are merged, and however often one of them, the result is the same.
        """
        both = [np.concatenate([getattr(part, each.name) for part in (self, other)], 1) for each in fields(self)]
        found = TopNine(*both)._sorted(2 * NINE)
        is_again = np.tril(found.pictures[:, :, None] == found.pictures[:, None, :], -1).any(2)
        for each, nothing in zip(fields(self), _NONE, strict=True):
            getattr(found, each.name)[is_again] = nothing
        return found._sorted(NINE)

    def raised(self, channels: np.ndarray, other: TopNine) -> TopNine:
        """With what `other` has of some channels, a mask [channels], merged into them."""
        new, parts = self.of(channels).merged(other), list[np.ndarray]()
        for each in fields(self):
            parts.append(getattr(self, each.name).copy())
            parts[-1][channels] = getattr(new, each.name)
        return TopNine(*parts)

    def _sorted(self, count: int) -> TopNine:
        """In the order that the class states, cut after so many of each channel."""
        order = np.lexsort((self.columns, self.rows, self.pictures, -self.values), axis=1)[:, :count]
        return TopNine(*(np.take_along_axis(getattr(self, each.name), order, 1) for each in fields(self)))


_NONE = (-np.inf, -1, 0, 0)  # values, picture, row and column where there are fewer than nine
