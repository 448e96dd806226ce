"""Maps move as the picture does: exactly by a multiple of the stride, away from borders."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.analysis.equivariance import equivariance
from explorer.analysis.trunk import trunk
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.types import Pair

IMAGE = torch.randn(1, 3, 33, 37, generator=torch.Generator().manual_seed(0))


def stacked() -> nn.Sequential:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 5, stride=2, padding=2), nn.Conv2d(4, 3, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(3, 2, 1), second).eval()


@pytest.mark.parametrize("layer", ["0", "2", "3"])
@pytest.mark.parametrize("times", [(1, 1), (2, 0), (-1, 2)])
def test_shifts_by_a_multiple_of_the_stride_move_maps_exactly(layer: str, times: Pair) -> None:
    stride = 2 if layer == "0" else 4
    program = trace(stacked(), (3, 33, 37))
    found = equivariance(program, IMAGE, layer, (stride * times[0], stride * times[1]))
    assert found is not None
    assert found.is_multiple
    assert (found.stride_px, found.cells) == ((stride, stride), times)
    assert found.positions > 0
    assert found.error is not None
    assert found.error < 1e-6
    assert found.still is not None
    assert found.still > 0.1


def test_the_units_that_are_compared_are_all_that_are_exact() -> None:
    """Of a convolution with zeros around it, row by row: the first and last see a border, and so does one more each."""
    torch.manual_seed(1)
    module = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    image = torch.randn(1, 1, 10, 12) + 3
    after, before = module(image.roll((2, 0), (2, 3))), module(image)
    exact = (after.roll(-2, 2) - before)[0, 0].abs() < 1e-6
    found = equivariance(trace(nn.Sequential(module), (1, 10, 12)), image, "0", (2, 0))
    assert found is not None
    rows = [row for row in range(10) if exact[row, 1:-1].all() and row + 2 < 10]
    assert rows == list(range(1, 7))
    assert found.positions == len(rows) * 10


def test_other_shifts_do_not_move_them() -> None:
    found = equivariance(trace(stacked(), (3, 33, 37)), IMAGE, "2", (1, 1))
    assert found is not None
    assert not found.is_multiple
    assert found.error is not None
    assert found.error > 0.1


def test_units_that_see_beyond_the_picture_are_left_out() -> None:
    network = catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"))
    images = torch.randn(1, 3, 64, 64)
    found = [equivariance(network.program, images, layer) for layer in trunk(network.program.graph)]
    assert [each and each.positions > 0 for each in found] == [True, True, True, False, False, None, None]
    assert all(each.error < 1e-5 for each in found if each is not None and each.error is not None)
