"""Drawing items of the picture set: one of each class, the best of several rounds."""

from __future__ import annotations

import pytest

from explorer.training.dataset import CLASSES, draw_item
from tests.benchmarks.timing import Table, best_seconds

ROUNDS = 20


@pytest.mark.parametrize(("size_px", "goal_s"), [(64, 0.005)])
def test_time_of_an_item(size_px: int, goal_s: float, table: Table) -> None:
    def draw(label: int) -> None:
        draw_item(1, label, size_px, label)

    best = best_seconds([lambda label=label: draw(label) for label in range(len(CLASSES))], ROUNDS)
    table.limit(f"an item of {size_px} px, mean over the classes", sum(best) / len(best), goal_s)
    slowest = max(range(len(best)), key=best.__getitem__)
    table.limit(f"the slowest class, {CLASSES[slowest]}", best[slowest], goal_s)
