"""Operations that a person tells of: their fields, costs, maps and ways back are those of what they are told to be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import explorer
from explorer import Window

Undo = Callable[[], None]
Tell = Callable[..., Undo]


@pytest.fixture
def tell() -> Iterator[Tell]:
    """`explorer.register_op`, taken back at the end."""
    undone: list[Undo] = []

    def telling(*args: Any, **kwargs: Any) -> Undo:
        undone.append(explorer.register_op(*args, **kwargs))
        return undone[-1]

    yield telling
    for undo in undone:
        undo()


class Opaque(nn.Module):
    """A layer whose code asks for values, so that no trace can follow it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if float(x.abs().sum()) >= 0 else x


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.sin(x.detach().numpy()))


def leak(x: Tensor, slope: float = 0.1) -> Tensor:
    return x if float(x.abs().sum()) < 0 else torch.maximum(x, slope * x)


@torch.library.custom_op("explorer_tests::negated", mutates_args=())
def negated(x: Tensor) -> Tensor:
    return -x


class Network(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
        self.between = between
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.between(self.first(x))).mean((2, 3)))


class Leaking(Network):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(leak(self.first(x))).mean((2, 3)))


class Negating(Network):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(torch.ops.explorer_tests.negated(self.first(x))).mean((2, 3)))


SIZE = (3, 20, 24)
PICTURE = torch.randn(1, *SIZE, generator=torch.Generator().manual_seed(1))


def of_module(m: Opaque) -> Window:
    conv = m.inner
    assert isinstance(conv, nn.Conv2d)
    return Window(*(tuple(getattr(conv, name)) for name in ("kernel_size", "stride", "dilation", "padding")))


HIDDEN = nn.Conv2d(6, 6, (3, 5), (2, 1), (1, 2), (1, 2))


def conv_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(HIDDEN(torch.zeros(shape)).shape)


def test_a_module_with_a_window_has_the_field_and_cost_of_what_it_hides(tell: Tell) -> None:
    plain = explorer.analyze(Network(HIDDEN), SIZE)
    tell(Opaque, of_module, macs=lambda given, made: 6 * 15 * made[1] * made[2] * made[3], output_shape=conv_shape)
    told = explorer.analyze(Network(Opaque(HIDDEN)), SIZE)
    assert [layer.receptive_field for layer in told.layers] == [layer.receptive_field for layer in plain.layers]
    assert (told.macs, told.params, told.unknown) == (plain.macs, plain.params, ())
    assert {layer.certainty for layer in told.layers} == {"exact"}


def test_a_pointwise_module_of_numpy_leaves_the_field_and_is_one_layer(tell: Tell) -> None:
    with pytest.raises(explorer.TraceError):
        explorer.analyze(Network(Sine()), SIZE)
    undo = tell(Sine)
    found = explorer.analyze(Network(Sine()), SIZE)
    assert found["between"].receptive_field == found["first"].receptive_field
    assert found["between"].kind == "own_pointwise"
    maps = explorer.feature_maps(Network(Sine()), PICTURE[0], "between")
    assert torch.allclose(maps, explorer.feature_maps(Network(Sine()), PICTURE[0], "first").sin(), atol=1e-6)
    undo()
    with pytest.raises(explorer.TraceError):
        explorer.analyze(Network(Sine()), SIZE)


@pytest.mark.parametrize(
    "network", [lambda: Network(Sine()), lambda: Leaking(nn.ReLU()), lambda: Network(Opaque(copy.deepcopy(HIDDEN)))]
)
def test_incremental_occlusion_agrees_with_whole_passes(network: Callable[[], nn.Module], tell: Tell) -> None:
    tell(Sine)
    tell(leak, rectifies=True)
    tell(Opaque, of_module, output_shape=conv_shape)
    module = network().double()
    full, part = (
        explorer.occlusion_map(module, PICTURE[0].double(), window=5, stride=4, method=method).probability
        for method in ("full", "incremental")
    )
    assert np.abs(full - part).max() <= 1e-12


def test_a_rectifying_function_goes_back_as_relu_does(tell: Tell) -> None:
    tell(leak, rectifies=True)
    told = explorer.deconvnet(Leaking(nn.ReLU()), PICTURE[0], "last", 2, (4, 7))
    known = explorer.deconvnet(Network(nn.LeakyReLU(0.1)), PICTURE[0], "last", 2, (4, 7))
    assert torch.allclose(told, known, atol=1e-6)
    assert explorer.analyze(Leaking(nn.ReLU()), SIZE)["leak"].kind == "own_activation"


def test_an_operator_is_known_by_its_name_and_by_what_defines_it(tell: Tell) -> None:
    for target in (negated, torch.ops.explorer_tests.negated, torch.ops.explorer_tests.negated.default):
        undo = tell(target)
        found = explorer.analyze(Negating(nn.ReLU()), SIZE)
        assert found["negated"].receptive_field == found["first"].receptive_field
        assert found.unknown == ()
        undo()


def test_what_reads_everything_makes_the_field_global_and_exact(tell: Tell) -> None:
    class Centred(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean((1, 2, 3), keepdim=True) if float(x.abs().sum()) >= 0 else x

    tell(Centred, "everything", output_shape=lambda shape: shape)
    module = Network(Centred())
    found = explorer.analyze(module, SIZE)["between"]
    assert found.receptive_field.is_global
    assert found.certainty == "exact"


def test_a_window_that_mixes_channels_that_see_differently_is_bounded_not_too_small(tell: Tell) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = nn.Conv2d(3, 2, 5, padding=2), nn.Conv2d(3, 2, 1)
            self.own = Opaque(nn.Conv2d(4, 4, 3, padding=1))

        def forward(self, x: Tensor) -> Tensor:
            return self.own(torch.cat([self.wide(x), self.narrow(x)], 1))

    tell(Opaque, Window((3, 3), padding=(1, 1)), output_shape=lambda shape: shape)
    module = Two()
    found = explorer.analyze(module, SIZE)["own"]
    assert found.receptive_field.size == (7, 7)
    assert found.certainty == "bounded"


@pytest.mark.parametrize(("target", "told", "named"), [
    (3, {}, "3"), ("relu", {}, "relu"), (Sine, {"reach": "wide"}, "wide"),
    (Sine, {"reach": "everything", "rectifies": True}, "rectifies=True"),
])  # fmt: skip
def test_what_cannot_be_told_is_refused_with_its_value(target: Any, told: dict[str, Any], named: str) -> None:
    with pytest.raises(explorer.UserError, match=named):
        explorer.register_op(target, **told)


def test_a_rule_that_fails_is_one_sentence_that_names_the_layer(tell: Tell) -> None:
    tell(Sine, macs=lambda given, made: given[5])
    with pytest.raises(explorer.TraceError, match="between"):
        explorer.analyze(Network(Sine()), SIZE)


def test_a_torch_operation_may_be_told_of_as_a_whole_block(tell: Tell) -> None:
    """A block of one's own, of which nobody wants to see the inside, is one layer."""
    block = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = block

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.parts(x) + x)

    whole = explorer.analyze(Network(Block()).eval(), SIZE)
    tell(Block, Window((3, 3), padding=(1, 1)), macs=whole["between.parts.0"].macs or 0)
    told = explorer.analyze(Network(Block()).eval(), SIZE)
    assert told["between"].params == sum(p.numel() for p in block.parameters())
    assert (told.macs, told.params) == (whole.macs, whole.params)
    assert told.receptive_field == whole.receptive_field
