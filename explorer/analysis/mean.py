"""A mean with its standard error, which every figure over a set of pictures is told with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.errors import UserError


@dataclass(frozen=True)
class Mean:
    """A mean over items, its standard error (None of one item), and of how many items it is."""

    mean: float
    error: float | None
    items: int

    @classmethod
    def of(cls, values: np.ndarray) -> Mean:
        """Of the values that are numbers. Raises UserError, where none is."""
        found = values[~np.isnan(values)]
        if not len(found):
            raise UserError("No item has a value: there is no mean.")
        error = float(found.std(ddof=1) / len(found) ** 0.5) if len(found) > 1 else None
        return cls(float(found.mean()), error, len(found))
