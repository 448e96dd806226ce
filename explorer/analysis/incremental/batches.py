"""Which squares are run together: those that reach equally far, as a batch computes regions of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from explorer.analysis.incremental.reach import Region, full_macs
from explorer.graph.layers import LayerGraph

Position = tuple[int, int]  # row and column on the grid of squares
MOST_OF_A_MAP = 0.85  # from this share on the whole map costs less than its region and what it takes to cut it out


@dataclass(frozen=True, eq=False)
class Extents:
    """How far each row and each column of squares reaches, as a number that grows with the work that it makes."""

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, graph: LayerGraph, regions: Mapping[str, Region]) -> Extents:
        """The lengths of the regions, each counted by the work of its layer."""
        work = [(full_macs(graph[name]), region) for name, region in regions.items()]
        rows = [macs * region.rows.lengths / region.rows.size for macs, region in work]
        columns = [macs * region.columns.lengths / region.columns.size for macs, region in work]
        return cls(np.sum(rows, axis=0), np.sum(columns, axis=0))

    def work(self, batch: Sequence[Position]) -> float:
        """What is computed for a batch, in a measure that compares batches."""
        rows, columns = np.array(batch).T
        return len(batch) * float(self.rows[rows].max() * self.columns[columns].max())

    def packed(self, positions: Sequence[Position], size: int) -> list[list[Position]]:
        """The positions in batches of a size: strips of rows that reach equally far, cut by how far the columns do.

        Sort-tile-recursive packing (Leutenegger et al. 1997), for the least sum of the batches' largest regions.
        """
        count = ceil(len(positions) / size)
        strip = size * ceil(count / ceil(sqrt(count)))
        by_rows = sorted(positions, key=lambda at: self.rows[at[0]])
        batches: list[list[Position]] = []
        for first in range(0, len(by_rows), strip):
            by_columns = sorted(by_rows[first : first + strip], key=lambda at: self.columns[at[1]])
            batches += chunks(by_columns, size)
        return batches


def chunks(positions: Sequence[Position], size: int) -> list[list[Position]]:
    """The positions in their order, in batches of a size."""
    return [list(positions[first : first + size]) for first in range(0, len(positions), size)]


def computed_shares(regions: Mapping[str, Region], batches: Sequence[Sequence[Position]]) -> dict[str, float]:
    """The share of each layer's map that is computed, in the mean over all squares, when run in these batches."""
    rows, columns = np.array([at for batch in batches for at in batch]).T
    counts = np.array([len(batch) for batch in batches])
    starts = np.cumsum(counts) - counts
    found: dict[str, float] = {}
    for name, region in regions.items():
        height = np.maximum.reduceat(region.rows.lengths[rows], starts) / region.rows.size
        width = np.maximum.reduceat(region.columns.lengths[columns], starts) / region.columns.size
        share = np.where(height * width >= MOST_OF_A_MAP, 1.0, height * width)
        found[name] = float((share * counts).sum() / counts.sum())
    return found
