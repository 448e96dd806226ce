"""Incremental passes give what whole passes give: presets, foreign networks, and random small networks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import models
from explorer.analysis.incremental.patches import MapPatch
from explorer.graph.trace import trace
from tests.support.preset_sizes import input_size
from tests.support.random_networks import RandomNetwork
from tests.support.squares import apart, with_statistics
from tests.support.toy_networks import Toy

TOLERATED = 1e-9  # of the largest output
OF_THE_CHANGE = 1e-4  # of the largest change by a square: a map left as it was makes 1


def smallest_presets() -> list[str]:
    """The compact preset of each architecture."""
    return [next(name for name, preset in each.presets.items() if preset.compact) for each in models.architectures()]


@pytest.mark.parametrize("name", smallest_presets())
def test_presets(name: str) -> None:
    torch.manual_seed(0)
    size = input_size(name, 40, 48)
    program = trace(with_statistics(models.build(name)), size)
    to_largest, to_change = apart(program, torch.randn(1, *size).double(), (6, 5), (4, 5))
    assert to_largest <= TOLERATED
    assert to_change <= OF_THE_CHANGE


def _torchvision(name: str) -> nn.Module:
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, num_classes=40, **options)


def _timm(name: str, **options: Any) -> nn.Module:
    return timm.create_model(name, num_classes=40, **options)


FOREIGN: dict[str, Callable[[str], nn.Module]] = {
    **dict.fromkeys(("squeezenet1_1", "googlenet", "inception_v3", "resnet18", "mobilenet_v3_small",
                     "shufflenet_v2_x0_5", "efficientnet_b0", "regnet_x_400mf"), _torchvision),
    **dict.fromkeys(("resnet10t", "convnext_atto", "repvgg_a0", "dla34", "hrnet_w18_small", "mixnet_s",
                     "mobilenetv4_conv_small"), _timm),
    "res2net50_26w_4s": lambda name: _timm(name, layers=(1, 1, 1, 1)),
    "densenet": lambda _: torchvision.models.DenseNet(16, (3, 4, 3, 2), 32, num_classes=40),
}  # fmt: skip
SIZES = {"inception_v3": (80, 96), "dla34": (64, 96), "hrnet_w18_small": (64, 96)}  # others do not fit them


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_networks(name: str) -> None:
    torch.manual_seed(0)
    size = (3, *SIZES.get(name, (56, 72)))
    program = trace(with_statistics(FOREIGN[name](name)), size)
    to_largest, to_change = apart(program, torch.randn(1, *size).double(), (7, 9), (6, 7))
    assert to_largest <= TOLERATED
    assert to_change <= OF_THE_CHANGE


@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
@pytest.mark.parametrize("size", [16, 9], ids=["to the size that it has", "to another"])
def test_an_adaptive_pool_that_leaves_the_map_as_it_is(pool: type[nn.Module], size: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), pool(size), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(5 * (size - 2) ** 2, 4)
    )
    program = trace(network.double(), (3, 16, 16))
    to_largest, to_change = apart(program, torch.randn(1, 3, 16, 16).double(), (4, 3), (3, 3))
    assert to_largest <= TOLERATED
    assert to_change <= OF_THE_CHANGE


def statistics_and_sizes(seed: int) -> tuple[nn.Module, tuple[int, int, int], tuple[int, int], tuple[int, int]]:
    """A random network, the size of its input, a window and a stride."""
    torch.manual_seed(seed)
    draw, network = random.Random(seed), RandomNetwork(seed)
    size = network.input_size
    window = draw.randint(1, size[1]), draw.randint(1, size[2])
    return with_statistics(network, seed), size, window, (draw.randint(1, 9), draw.randint(1, 9))


@given(st.integers(0, 10**6))
def test_random_networks(seed: int) -> None:
    network, size, window, stride = statistics_and_sizes(seed)
    to_largest, _ = apart(trace(network, size), torch.randn(1, *size).double(), window, stride)
    assert to_largest <= TOLERATED


class PreActivated(nn.Module):
    """A rectifier in place on what the skip reads as well, a padded skip, and weights with rows and columns."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.places = nn.Parameter(torch.randn(1, 6, 16, 18))
        self.head = nn.Linear(6 * 8 * 9, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.sub_(0.1))
        y = self.conv(F.relu_(x))
        z = F.pad(x, (0, 0, 0, 0, 1, 1)) + y + self.places
        z = F.avg_pool2d(F.pad(z, (1, 1, 2, 0), value=0.5), 3, 2, padding=1, count_include_pad=False)[:, :, :8, :9]
        return self.head(z.flatten(1))


def test_an_adaptive_pool_to_the_size_that_the_map_has() -> None:
    """As VGG has one: it must not stretch the region to that size."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d((20, 24)), nn.Flatten(), nn.Linear(1920, 5)
    )
    _, to_change = apart(trace(module.eval().double(), (3, 20, 24)), torch.randn(1, 3, 20, 24).double(), (3, 4), (5, 5))
    assert to_change <= OF_THE_CHANGE


class ChannelsLastMean(nn.Module):
    """The mean over rows and columns of maps whose channels lie last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).permute(0, 2, 3, 1).mean((1, -2)))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)),
        ChannelsLastMean(),
    ],
    ids=["pool", "mean"],
)
def test_the_mean_of_whole_maps_comes_from_the_change(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: MapPatch) -> Tensor:
        raise AssertionError("the whole map was made")

    monkeypatch.setattr(MapPatch, "whole", refused)
    program = trace(network.eval().double(), (3, 24, 28))
    to_largest, to_change = apart(program, torch.randn(1, 3, 24, 28).double(), (5, 4), (3, 4))
    assert to_largest <= TOLERATED
    assert to_change <= OF_THE_CHANGE


@pytest.mark.parametrize(("make", "size"), [(PreActivated, (3, 32, 36)), (Toy, (3, 8, 8))])
def test_what_is_written_in_place(make: Callable[[], nn.Module], size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    program = trace(with_statistics(make()), size)
    to_largest, to_change = apart(program, torch.randn(1, *size).double(), (3, 2), (3, 4))
    assert to_largest <= TOLERATED
    assert to_change <= OF_THE_CHANGE
