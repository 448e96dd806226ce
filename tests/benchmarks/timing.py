"""Timing side by side, and the table that a file of benchmarks prints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

HEADER = ("", "measured", "reference", "ratio", "goal")


def best_seconds(
    works: Sequence[Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """The least seconds that each work took in `rounds` rounds; they alternate, so that other load meets them alike."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for index, work in enumerate(works):
            began = clock()
            work()
            best[index] = min(best[index], clock() - began)
    return best


def seconds(value: float) -> str:
    """Seconds for people: "3.21 ms", "450 ms", "2.40 s"."""
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.{2 if value < 0.01 else 0}f} ms"


@dataclass
class Table:
    """Measured values beside what they are compared with; says nothing of pass or fail."""

    title: str
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def against(self, what: str, measured: str, reference: str, ratio: float, goal: str = "") -> None:
        """A row that compares with another program or another way; ratio: measured / reference."""
        self.rows.append((what, measured, reference, f"{ratio:.2f}", goal))

    def limit(self, what: str, measured: float, goal: float, text: Callable[[float], str] = seconds) -> None:
        """A row that compares with a limit of ours."""
        self.rows.append((what, text(measured), "", f"{measured / goal:.2f}", f"≤ {text(goal)}"))

    def alone(self, what: str, measured: str) -> None:
        """A row without a goal, that others are read beside."""
        self.rows.append((what, measured, "", "", ""))

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(HEADER, *self.rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (HEADER, *self.rows)]
        return "\n".join([self.title, f"({machine()})", *lines])


def machine() -> str:
    """What ran this, and how busy it was: figures that were taken beside other work are too large."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores{load}, {torch.get_num_threads()} threads, torch {torch.__version__}"
