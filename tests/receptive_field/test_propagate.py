"""What single operations do to fields, in the ways in which people call them, against gradients of the real thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer import analyze
from explorer.receptive_field import quick
from explorer.types import Box
from tests.support.random_networks import Call

SIZE = (3, 7, 5)


class With(nn.Module):
    """A function of the image and of a buffer."""

    weight: Tensor

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], weight: Tensor) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)


def boxes_of_gradients(module: nn.Module, size: tuple[int, int, int]) -> dict[tuple[int, int], Box]:
    """For every unit (row, column) of the output map, all channels together: the pixels that change it."""
    image = torch.rand(1, *size, dtype=torch.float64, requires_grad=True)
    maps = module.double().eval()(image)[0].sum(0)
    found = {}
    for row in range(maps.shape[0]):
        for column in range(maps.shape[1]):
            (gradient,) = torch.autograd.grad(maps[row, column], image, retain_graph=True)
            rows, columns = (gradient[0] != 0).any(0).nonzero().T.tolist()
            found[row, column] = (min(rows), min(columns), max(rows) + 1, max(columns) + 1)
    return found


def boxes(module: nn.Module, size: tuple[int, int, int]) -> dict[tuple[int, int], Box]:
    last = analyze(nn.Sequential(module), size).layers[-1]  # as a leaf where torch has the module
    rows, columns = last.output_shape[-2:]
    return {(row, column): last.receptive_field.box(row, column) for row in range(rows) for column in range(columns)}


def conv(border: str) -> nn.Module:
    return nn.Conv2d(3, 2, (3, 2), (2, 1), (2, 1), padding_mode=border)  # pyright: ignore[reportArgumentType]


def padded(border: str) -> nn.Module:
    return nn.Sequential(Call(lambda x: F.pad(x, (1, 2, 3, 0), mode=border)), nn.Conv2d(3, 2, 3))


LENGTHS = (torch.rand(4, 3), torch.rand(7, 7), torch.rand(3))
EXACT: dict[str, nn.Module] = {
    "a map below itself": Call(lambda x: torch.cat([x, x], 2)),
    "a map beside itself, twice": Call(lambda x: torch.cat([x, x, x], -1)),
    "tuples of axes moved": nn.Sequential(
        Call(lambda x: x.movedim((2, 3), (1, 2))), nn.Linear(3, 2), Call(lambda x: x.movedim((-1, 1), (1, 2)))
    ),
    "a convolution around": conv("circular"),
    "a convolution reflected": conv("reflect"),
    "a convolution replicated": conv("replicate"),
    "padding around": padded("circular"),
    "padding reflected": padded("reflect"),
    "padding replicated": padded("replicate"),
    "padding modules": nn.Sequential(nn.CircularPad2d(2), nn.ReflectionPad2d(3), nn.ReplicationPad2d(1)),
    "a mean over rows": Call(lambda x: x.mean(2, keepdim=True)),
    "scaled by a mean over columns": Call(lambda x: x * x.mean(3, keepdim=True)),
    "a sum over no axis in particular": Call(lambda x: x + x.sum((), keepdim=True)),
    "weights before channels": With(lambda x, w: torch.matmul(w, x.flatten(2)).unflatten(2, (7, 5)), LENGTHS[0]),
    "weights before rows": With(lambda x, w: w @ x, LENGTHS[1]),
    "a vector of weights": With(lambda x, w: torch.matmul(w, x.flatten(2)).view(1, 1, 7, 5), LENGTHS[2]),
    "a linear layer over columns": nn.Linear(5, 4),
    "channels normalised": Call(lambda x: F.normalize(x, 2, 1)),
    "columns normalised": Call(lambda x: F.normalize(x, 2, -1)),
    "rows normalised": Call(lambda x: F.normalize(x, dim=2)),
    "softmax over rows": Call(lambda x: x.softmax(2)),
    "norm of channels": Call(lambda x: x.norm(2, 1)[:, None]),
    "norm of columns": Call(lambda x: x.norm(3, -1, True)),
    "a new axis before": Call(lambda x: x[None][0]),
    "no statistics kept": nn.BatchNorm2d(3, track_running_stats=False),
    "rows mixed by a convolution over channels first": nn.Sequential(
        Call(lambda x: x.flatten(2).transpose(1, 2)), nn.Conv1d(35, 35, 1),
        Call(lambda x: x.transpose(1, 2).unflatten(2, (7, 5))),
    ),
}  # fmt: skip
REVERSED = torch.arange(6, -1, -1)
BOUNDED: dict[str, nn.Module] = {
    "rows by a buffer": With(lambda x, rows: x[:, :, rows], REVERSED),
    "rows by a list": Call(lambda x: x[:, :, [6, 0, 3]]),
    "channels by a buffer": With(lambda x, channels: x[:, channels], REVERSED[-2:]),
    "flips as separate numbers": Call(lambda x: x.flip(1, 2)),
    "the larger of two maps": Call(lambda x: torch.max(x, x.flip(2))),
    "with itself turned": nn.Sequential(nn.AdaptiveAvgPool2d(5), Call(lambda x: x + x.transpose(2, 3))),
    "each element twice": Call(lambda x: x.repeat_interleave(2)[::2].view(1, 3, 7, 5)),
    "with itself as weights": Call(lambda x: (x @ x.transpose(2, 3)) @ x),
    "a crop that looks at the map": Call(
        lambda x: F.scaled_dot_product_attention(x[:, :, :2], x[:, :, 4:], x[:, :, 4:])
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_box_of_every_unit_is_the_support_of_its_gradient(name: str) -> None:
    assert boxes(EXACT[name], SIZE) == boxes_of_gradients(EXACT[name], SIZE)


@pytest.mark.parametrize("name", BOUNDED)
def test_the_box_of_every_unit_holds_the_support_of_its_gradient(name: str) -> None:
    outer, inner = boxes(BOUNDED[name], SIZE), boxes_of_gradients(BOUNDED[name], SIZE)
    assert outer.keys() == inner.keys()
    for unit, (top, left, bottom, right) in inner.items():
        around = outer[unit]
        assert around[0] <= top, (unit, around)
        assert around[1] <= left, (unit, around)
        assert around[2] >= bottom, (unit, around)
        assert around[3] >= right, (unit, around)


def test_a_mean_over_rows_is_global_along_rows_alone() -> None:
    field = analyze(Call(lambda x: x.mean(2, keepdim=True)), SIZE).layers[-1].receptive_field
    assert [axis.is_global for axis in field.axes] == [True, False]
    assert field.size == (7, 1)
    assert not field.is_global


def test_padding_around_has_the_closed_form_of_padding_with_zeros() -> None:
    field, plain = (analyze(nn.Sequential(conv(border)), SIZE).receptive_field for border in ("circular", "zeros"))
    assert (field.size, field.stride, field.padding) == (plain.size, plain.stride, plain.padding)


class TwoScales(nn.Module):
    """Tokens of two maps of different size in one row, as crossvit's class tokens meet the other branch."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(3, 4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.small(x).flatten(2), self.large(x).flatten(2)), 2).transpose(1, 2)


def test_tokens_of_maps_of_different_size_see_everything() -> None:
    found = analyze(TwoScales(), (3, 8, 8))
    assert found["concat"].receptive_field.is_global
    assert found["concat"].certainty == "bounded"
    assert found.unknown == ()
    assert found["large"].receptive_field.size == (3, 3)


def test_tokens_keep_their_local_field_where_a_mix_of_all_is_added() -> None:
    """As in MLP-Mixer: a linear layer over the tokens, and a residual."""
    mixed = With(lambda x, w: x.flatten(2) + (x.flatten(2) @ w), torch.rand(35, 35))
    found = analyze(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), mixed), SIZE)
    assert found.head_layer == found.layers[-1].id
    assert found.layers[-1].kind == "add"
    assert found.receptive_field.is_global
    assert found.local_receptive_field.size == (3, 3)


def test_a_rule_that_fails_costs_one_layer_its_field_and_not_the_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> quick.FieldState:
        raise IndexError("tuple index out of range")

    monkeypatch.setitem(quick.QUICK, "max_pool", fails)
    found = analyze(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(1), nn.Conv2d(4, 4, 1)), SIZE)
    assert found.unknown == ("1",)
    assert found["1"].macs == 0
    assert [layer.certainty for layer in found.layers] == ["exact", "exact", "unknown", "bounded"]
    assert [found[name].receptive_field.is_global for name in ("0", "1", "2")] == [False, True, True]


def test_a_rule_that_loses_rows_counts_as_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(quick.QUICK, "max_pool", lambda layer, inputs: inputs[0])
    found = analyze(nn.MaxPool2d(2), SIZE)
    assert len(found.unknown) == 1
    assert found.layers[-1].receptive_field.is_global
