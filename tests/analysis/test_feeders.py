"""What feeds a unit: each input channel's part of a convolution, as that channel alone makes it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.analysis.feeders import feeders, joined_below, nearest_filters
from explorer.errors import UserError
from explorer.graph.trace import trace

SIZE = (3, 16, 16)


def stack(*behind: nn.Module, bias: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3, padding=1, bias=bias), *behind).eval()


def images(count: int = 3) -> Tensor:
    return torch.randn(count, *SIZE, generator=torch.Generator().manual_seed(1))


def test_a_channel_adds_what_the_convolution_makes_of_it_alone() -> None:
    module, given, cells = stack(bias=True), images(), [(2, 3), (0, 13), (7, 7)]
    found = feeders(trace(module, SIZE), given, "2", 1, cells)
    below, weight = module[:2](given).detach(), module.get_parameter("2.weight").detach()
    for channel in range(5):
        alone = F.conv2d(below[:, channel : channel + 1], weight[1:2, channel : channel + 1], padding=1)[:, 0]
        expected = torch.stack([alone[i][cell] for i, cell in enumerate(cells)]).mean()
        assert found.contributions[channel] == pytest.approx(float(expected), abs=1e-5)
    assert found.layer == "1"


@pytest.mark.parametrize("behind", [(nn.ReLU(inplace=True),), (nn.ReLU(), nn.MaxPool2d(2)), (nn.LeakyReLU(0.1),)])
def test_without_biases_they_add_up_to_the_activation(behind: tuple[nn.Module, ...]) -> None:
    module, given = stack(*behind), images(2)
    maps = module(given).detach()
    cells = [divmod(int(maps[i, 2].argmax()), maps.shape[3]) for i in range(2)]
    expected = torch.stack([maps[i, 2][cell] for i, cell in enumerate(cells)]).mean()
    found = feeders(trace(module, SIZE), given, str(len(module) - 1), 2, cells)
    assert float(found.contributions.sum()) == pytest.approx(float(expected), rel=1e-4)
    strongest = found.strongest(2)
    assert abs(found.contributions[strongest[0]]) == max(abs(found.contributions))


def test_channels_of_other_groups_add_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=2)).eval()
    found = feeders(trace(module, SIZE), images(1), "1", 3, [(4, 4)])
    assert found.contributions[:2].tolist() == [0, 0]
    assert all(found.contributions[2:] != 0)
    assert set(found.strongest(4)) == {2, 3}


class _Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.relu = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.one(x) + self.other(x))


def test_a_join_has_no_one_layer_that_feeds_it() -> None:
    program = trace(_Joined().eval(), SIZE)
    assert nearest_filters(program.graph, "relu") is None
    assert nearest_filters(program.graph, "other") == "other"
    assert joined_below(program.graph, "relu") == ("one", "other")
    assert joined_below(program.graph, "other") == ()
    with pytest.raises(UserError, match="layer='relu' joins several branches"):
        feeders(program, images(1), "relu", 0, [(0, 0)])
