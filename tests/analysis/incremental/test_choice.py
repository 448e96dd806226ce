"""Which way "auto" takes, on machines of known figures, and what the figures of this one are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.analysis import sliding as ways
from explorer.analysis.incremental.cost import Machine, machine
from explorer.analysis.occluder import fill_values, square_boxes
from explorer.analysis.passes import TracedPasses
from explorer.analysis.sliding import FullSliding, IncrementalSliding, Slide, sliding
from explorer.graph.trace import trace


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8 * 16 * 16, 5),
    ).eval()  # fmt: skip


@pytest.mark.parametrize(
    ("here", "window", "count", "way"),
    [
        (Machine(1e9, 1e9, 1e9, 0.0), 4, 16, IncrementalSliding),
        (Machine(1e9, 1e9, 1e9, 1.0), 4, 16, FullSliding),  # pieces cost more than they save
        (Machine(1e9, 1e9, 1e9, 0.0), 4, 1, FullSliding),  # one position saves less than the clean pass takes
        (Machine(1e9, 1e9, 1e9, 0.0), 26, 4, FullSliding),  # the arithmetic limit, 1.3, is below what pays
    ],
)
def test_auto_takes_what_takes_less(
    here: Machine, window: int, count: int, way: type, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(ways, "machine", lambda _: here)
    program, image = trace(network(), (3, 32, 32)), torch.randn(1, 3, 32, 32)
    slide = Slide(image, square_boxes((32, 32), window, 4), fill_values(image, "gray"))
    columns = slide.squares.shape[1]
    levels = [[(0, column % columns) for column in range(count)]]
    assert isinstance(sliding(TracedPasses(program), slide, levels, "auto"), way)


def test_an_image_of_another_size_than_the_traced_one_is_run_whole() -> None:
    program, image = trace(network()[:5], (3, 32, 32)), torch.randn(1, 3, 40, 40)  # type: ignore[index]
    slide = Slide(image, square_boxes((40, 40), 4, 4), fill_values(image, "gray"))
    assert isinstance(sliding(TracedPasses(program), slide, [[(0, 0)]], "auto"), FullSliding)


def test_the_figures_of_this_machine_are_those_of_a_machine() -> None:
    here = machine(torch.device("cpu"))
    assert here is machine(torch.device("cpu"))
    assert here.depthwise_macs_per_s > 1e8
    assert 1e8 < here.macs_per_s < 1e13
    assert 1e8 < here.bytes_per_s < 1e13
    assert 1e-8 < here.piece_s < 1e-2
