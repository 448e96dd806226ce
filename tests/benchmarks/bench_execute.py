"""Running a traced program, against calling the module."""

from __future__ import annotations

import pytest
import torch

import models
from explorer.graph.trace import trace
from explorer.run.execute import run
from tests.benchmarks.timing import Table, best_seconds, seconds


@pytest.mark.parametrize(("name", "size_px", "batch", "rounds"), [
    ("resnet_mini", 64, 1, 40), ("resnet_mini", 64, 32, 8), ("resnet18", 224, 1, 12),
])  # fmt: skip
def test_overhead(name: str, size_px: int, batch: int, rounds: int, table: Table) -> None:
    module = models.build(name)
    program, images = trace(module, (3, size_px, size_px)), torch.randn(batch, 3, size_px, size_px)

    def plain() -> None:
        with torch.no_grad():
            module(images)

    traced, called = best_seconds([lambda: run(program, images), plain], rounds)
    what = f"{name}, {size_px} px, {batch} image{'s' * (batch > 1)}"
    table.against(what, seconds(traced), f"{seconds(called)} module(images)", traced / called)
