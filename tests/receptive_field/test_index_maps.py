"""Fields of what moves elements about, against the gradients of the very networks, with no rule of ours between."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import models
from explorer import analyze
from explorer.analysis.structure import LayerReport
from explorer.types import Box
from tests.oracles.real_gradients import boxes_of
from tests.support.moving_networks import CHANNELS, STEPS, Mover, MovingNetwork

UNITS = ((0, 0), (4, 4), (3, 6), (7, 7))
EXAMPLES = max(60, int(os.environ.get("FUZZ_EXAMPLES", "0")))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def output_of(module: nn.Module, size: tuple[int, int, int]) -> LayerReport:
    found = analyze(module, size)
    return found[found.graph.outputs[0]]


def holds(outer: Box, inner: Box) -> bool:
    top, left, bottom, right = inner
    return inner == (0, 0, 0, 0) or (outer[0] <= top and outer[1] <= left and outer[2] >= bottom and outer[3] >= right)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_moves_elements_is_followed_exactly(name: str) -> None:
    torch.manual_seed(1)
    stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 2, 2), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1))
    network = nn.Sequential(stem, Mover(STEPS[name]), nn.Conv2d(CHANNELS, CHANNELS, 1))
    found = output_of(network, (3, 16, 16))
    assert found.certainty == "exact"
    assert [found.receptive_field.box(*unit) for unit in UNITS] == boxes_of(network, (3, 16, 16), UNITS)


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(0, EXAMPLES, 20))
def test_random_networks_of_such_steps_see_what_their_gradients_say(first: int) -> None:
    """Equal where the field is said to be exact, which it is for most; else at least as large."""
    exact = 0
    for seed in range(first, first + 20):
        network = MovingNetwork(seed)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        found = output_of(network, network.input_size)
        after = network.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before), seed
        boxes = [found.receptive_field.box(*unit) for unit in UNITS]
        right = boxes_of(network, network.input_size, UNITS)
        assert all(map(holds, boxes, right)), (seed, network.names, boxes, right)
        assert boxes == right or found.certainty == "bounded", (seed, network.names, boxes, right)
        exact += found.certainty == "exact"
    assert exact >= 15


# -- Networks after public reports of faults ---------------------------------------------------------------------------


class KernelOfThePicture(nn.Module):
    """A convolution whose kernel is computed from the image (conditionally parameterised convolutions)."""

    def __init__(self) -> None:
        super().__init__()
        self.route, self.kernels = nn.Linear(3, 4), nn.Parameter(torch.randn(4, 135))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        kernel = (torch.sigmoid(self.route(x.mean((2, 3)))) @ self.kernels).view(-1, 3, 3, 3)
        return F.conv2d(x.reshape(1, -1, h, w), kernel, padding=1, groups=n).view(n, 5, h, w)


def test_a_kernel_computed_from_the_picture_sees_all_of_it_and_locally_its_window() -> None:
    found = output_of(KernelOfThePicture(), (3, 12, 12))
    assert found.receptive_field.box(5, 5) == (0, 0, 12, 12)
    assert found.local_receptive_field.box(5, 5) == (4, 4, 7, 7)


class Power(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.exponent = nn.Conv2d(3, 3, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return (x.abs() + 1) ** self.exponent(x)


def test_an_exponent_is_looked_at_as_the_base_is() -> None:
    assert output_of(Power(), (3, 12, 12)).receptive_field.box(5, 5) == (3, 3, 8, 8)


class After(nn.Module):
    """A convolution of 3×3, then a function of its maps and of weights."""

    def __init__(self, function: Callable[[After, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 4, 3, padding=1), function
        self.square, self.kernel = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(4, 36))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.conv(x))


def pyramid(_: After, y: Tensor) -> Tensor:
    n, c, h, w = y.shape
    wide = y[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(n, c, h * 2, w * 2)
    return wide * 1.5 + F.interpolate(y, scale_factor=2)


def space_to_depth(_: After, y: Tensor) -> Tensor:
    n, c, h, w = y.shape
    return y.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, c * 4, h // 2, w // 2)


REPORTED: dict[str, tuple[Callable[[After, Tensor], Tensor], Box]] = {
    "einsum as a convolution of 1×1": (lambda m, y: torch.einsum("nchw,oc->nohw", y, m.square), (4, 4, 7, 7)),
    "unfold and matmul as a convolution": (
        lambda m, y: (m.kernel @ F.unfold(y, 3, padding=1)).view(y.shape), (3, 3, 8, 8)),
    "roll by (1, 1)": (lambda _, y: y.roll((1, 1), (2, 3)), (3, 3, 6, 6)),
    "upsampling by expand": (pyramid, (1, 1, 4, 4)),
    "space to depth": (space_to_depth, (9, 9, 13, 13)),
    "the largest of the channels": (lambda _, y: y.max(1).values[:, None], (4, 4, 7, 7)),
    "the two largest of the channels": (lambda _, y: y.topk(2, 1)[0], (4, 4, 7, 7)),
    "a pool through channels": (lambda _, y: F.max_pool3d(y[:, None], (3, 1, 1))[:, 0], (4, 4, 7, 7)),
    "RMS norm": (lambda _, y: F.rms_norm(y.movedim(1, -1), (4,)).movedim(-1, 1), (4, 4, 7, 7)),
    "fold": (lambda _, y: F.fold(F.unfold(y, 2, stride=2), (16, 16), 2, stride=2), (4, 4, 7, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTED)
def test_the_field_behind(name: str) -> None:
    function, right = REPORTED[name]
    found = output_of(After(function), (3, 16, 16))
    assert found.receptive_field.box(5, 5) == right
    assert found.certainty == "exact"


class Unpooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.back = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        largest, places = self.pool(x)
        return self.back(largest, places)


def test_an_unpooled_value_may_come_from_all_of_its_window() -> None:
    found = output_of(Unpooled(), (3, 16, 16))
    assert found.receptive_field.box(5, 5) == (4, 4, 6, 6)
    assert found.certainty == "exact"


class DepthToSpace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        n, c, h, w = y.shape
        return y.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, h * 2, w * 2)


def test_depth_to_space_is_followed_to_every_unit() -> None:
    field = output_of(DepthToSpace(), (3, 8, 8)).receptive_field
    assert field.box(7, 7) == (2, 2, 5, 5)
    assert field.box(12, 12) == (5, 5, 8, 8)


class Writes(nn.Module):
    """Writes into a map, through a view of it, and reads on from the map itself."""

    def __init__(self, view: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.view = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 5, padding=2), view

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        self.view(y).add_(self.view(self.b(x)))
        return y.tanh()


@pytest.mark.parametrize(
    "view", [lambda y: y, lambda y: y[:, :2], lambda y: y.transpose(2, 3)], ids=["all", "a part", "turned"]
)
def test_what_is_written_into_a_map_is_seen_by_all_that_read_it_on(view: Callable[[Tensor], Tensor]) -> None:
    network = Writes(view)
    found = output_of(network, (3, 12, 12))
    (right,) = boxes_of(network, (3, 12, 12), [(5, 6)])
    box = found.receptive_field.box(5, 6)
    assert holds(box, right)
    assert box == right or found.certainty == "bounded"


def test_what_no_rule_follows_is_said_to_be_unknown() -> None:
    class Unheard(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft2(x).real.tanh()

    found = analyze(Unheard(), (3, 8, 8))
    assert [layer.certainty for layer in found.layers][-1] == "bounded"
    assert found.unknown
    assert all(found[name].certainty == "unknown" for name in found.unknown)


def test_a_class_token_is_no_padding_and_a_transformer_is_followed_exactly() -> None:
    found = analyze(models.build("vit_mini", device="meta"), (3, 64, 64))
    inexact = [layer.id for layer in found.layers if layer.certainty != "exact"]
    assert all(name.endswith("similarity.matmul") for name in inexact), "scores of positions by positions are no map"
    assert found.receptive_field.is_global
    assert found.local_receptive_field.size == (8, 8)
