"""An occlusion's budget of memory: peaks told by torch's allocator keep within it, and what cannot is one sentence."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import models
from explorer.analysis.incremental import engine as incremental
from explorer.analysis.incremental.batches import Position
from explorer.analysis.occluder import fill_values, square_boxes
from explorer.analysis.occlusion import OcclusionSettings, occlusion_map
from explorer.analysis.occlusion_memory import Batching, planned
from explorer.analysis.passes import TracedPasses
from explorer.analysis.peak_memory import grown_bytes
from explorer.analysis.sliding import Method, Slide, Sliding
from explorer.errors import MemoryLimitError
from explorer.graph.trace import trace
from explorer.run.device import parse_bytes
from explorer.run.execute import run

SIZE = (64, 64)
BUDGETS = {"zfnet_mini": 3_000_000, "resnet_mini": 2_000_000}


def slide_of(name: str) -> tuple[TracedPasses, Slide]:
    program, image = trace(models.build(name), (3, *SIZE)), torch.randn(1, 3, *SIZE)
    return TracedPasses(program), Slide(image, square_boxes(SIZE, 12, 3), fill_values(image, "gray"))


def levels_of(slide: Slide) -> list[list[Position]]:
    return [list(np.ndindex(*slide.squares.shape[:2]))]  # type: ignore[list-item]


def peak(way: Sliding, batch: list[Position]) -> int:
    grown = grown_bytes(lambda: deque(way.run(batch), maxlen=0), torch.device("cpu"))
    assert grown is not None
    return way.held_bytes + grown


@pytest.mark.parametrize("method", ["full", "incremental"])
@pytest.mark.parametrize("name", BUDGETS)
def test_the_peak_comes_near_the_budget_and_keeps_within(name: str, method: Method) -> None:
    network, slide = slide_of(name)
    way, batches = planned(network, slide, levels_of(slide), method, Batching(400, BUDGETS[name]))
    assert sorted(at for batch in batches for at in batch) == levels_of(slide)[0]
    assert 4 < len(batches[0]) < 200
    one_more = way.largest(way.batches(levels_of(slide), len(batches[0]) + 1))
    assert peak(way, way.largest(batches)) <= 1.1 * BUDGETS[name]
    assert max(peak(way, way.largest(batches)), peak(way, one_more)) >= 0.9 * BUDGETS[name]
    assert peak(way, one_more) >= peak(way, way.largest(batches))


@pytest.mark.parametrize("method", ["full", "incremental"])
def test_a_budget_that_is_too_small_is_refused_with_one_that_is_not(method: Method) -> None:
    network, slide = slide_of("resnet_mini")

    def refused(budget: int) -> int | None:
        """The budget that the refusal names."""
        try:
            planned(network, slide, levels_of(slide), method, Batching(memory_bytes=budget))
        except MemoryLimitError as error:
            said = re.fullmatch(rf"memory_bytes={budget} is less than what one position takes: (.*)\.", str(error))
            assert said is not None
            return parse_bytes(said[1])
        return None

    needed = refused(1000)
    assert needed is not None
    needed = refused(needed) or needed  # first what the clean maps take may be named, then a position beside them
    assert refused(needed) is None
    assert refused(needed // 2) is not None


def test_a_budget_changes_no_value() -> None:
    program, image = trace(models.build("zfnet_mini"), (3, *SIZE)), torch.randn(1, 3, *SIZE)
    usual, small = (
        occlusion_map(program, image, settings=OcclusionSettings(12, 9, method="incremental", memory_bytes=budget))
        for budget in (None, BUDGETS["zfnet_mini"])
    )
    np.testing.assert_allclose(small.probability, usual.probability, rtol=1e-5)


def test_only_clean_maps_that_pieces_are_cut_from_are_kept() -> None:
    """Of conv, norm and rectifier the last alone is read with what lies around it."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(8 * 20 * 20, 4),
    ).eval()  # fmt: skip
    program, image = trace(module, (3, 20, 20)), torch.randn(1, 3, 20, 20)
    kept = incremental.Incremental.of(program, image, square_boxes((20, 20), 3, 3))
    assert [name for name, found in kept.clean.items() if isinstance(found, Tensor) and not found.is_meta] == ["2", "3"]
    assert kept.held_bytes == 4 * 8 * (22**2 + 20**2)  # that of the rectifier with its padding


def test_where_memory_does_not_suffice_incremental_batches_are_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    program, image = trace(models.build("zfnet_mini"), (3, *SIZE)), torch.randn(1, 3, *SIZE)
    asked = OcclusionSettings(12, 9, method="incremental", batch_size=12)
    expected = occlusion_map(program, image, settings=asked)
    sizes: list[int] = []

    def limited(program: Any, image: Any, **rest: Any) -> Any:
        images = next(len(patch.values) for patch in (rest.get("start") or {}).values()) if image is None else 1
        if images > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        sizes.append(images)
        return run(program, image, **rest)

    monkeypatch.setattr(incremental, "run", limited)
    found = occlusion_map(program, image, settings=asked)
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-5)
    assert max(sizes) == 3
    assert sum(sizes) == 1 + found.done.size
