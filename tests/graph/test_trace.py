"""What tracing makes of the ways in which people write networks, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from torch import Tensor, fx, nn
from torch.nn import functional as F

from explorer import analyze
from explorer.errors import TraceError
from explorer.graph.trace import trace
from tests.support.plain_networks import Constant, DecidesBySize, Plain


class Functional(nn.Module):
    """Every operation but the convolution is a function, a method or an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.weight = nn.Parameter(torch.zeros(5, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        x = F.max_pool2d(x, 2) * 0.5
        x = F.conv2d(x, self.conv.weight.transpose(0, 1)[:, :4].expand(3, 4, 3, 3), padding=1)
        x = torch.cat([x, x], dim=1)
        return F.linear(x.mean((2, 3)).view(-1, 6)[:, :4], self.weight).softmax(-1)


class Reused(nn.Module):
    """One convolution and one rectifier, called twice each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(self.relu(self.conv(x))))


class Tied(nn.Module):
    """Two linear layers that share one weight, as an autoencoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(12, 12), nn.Linear(12, 12)
        self.decode.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x.flatten(1)))


class Masked(nn.Module):
    """An optional argument decides what runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 2.0) -> Tensor:
        x = self.conv(x)
        return x * scale if mask is None else x * mask


def layers(module: nn.Module, size: tuple[int, int, int] = (3, 16, 12)) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(layer.id, layer.kind, layer.output_shape[1:]) for layer in trace(module, size).graph]


def test_functions_methods_and_operators_are_layers() -> None:
    found = analyze(Functional(), (3, 16, 12))
    assert [layer.kind for layer in found.layers] == [
        "input", "conv", "relu", "max_pool", "mul", "conv", "concat", "mean", "reshape", "select", "linear", "softmax",
    ]  # fmt: skip
    assert found["conv#2"].params == 0  # its weight is that of the first convolution
    assert found.params == found.params_used == 3 * 4 * 9 + 4 + 20
    assert found["conv#2"].macs == 3 * 7 * 5 * 4 * 9
    assert found["linear"].macs == 20
    assert found["max_pool"].output_shape == (1, 4, 7, 5)


def test_further_calls_of_a_module_have_numbers_and_count_their_params_once() -> None:
    found = analyze(Reused(), (3, 8, 8))
    assert [layer.id for layer in found.layers] == ["input", "conv", "relu", "conv#2", "relu#2"]
    assert (found["conv"].params, found["conv#2"].params) == (84, 0)
    assert found["conv"].macs == found["conv#2"].macs == 64 * 81
    assert found.params == found.params_used == 84


def test_a_shared_parameter_counts_once() -> None:
    found = analyze(Tied(), (3, 2, 2))
    assert found.params == found.params_used == 144 + 12 + 12
    assert (found["encode"].params, found["decode"].params) == (156, 12)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_training_mode_has_auxiliary_outputs(name: str) -> None:
    with torch.device("meta"):
        module = torchvision.models.get_model(name, weights=None, init_weights=False)
    size = (3, 299, 299)
    inference, training = analyze(module, size), analyze(module, size, training=True)
    assert training.params_used == training.params == inference.params > inference.params_used
    heads = [training[layer].output_shape for layer in training.graph.outputs]
    assert heads == [(1, 1000)] * len(heads)
    assert len(heads) == (3 if name == "googlenet" else 2)
    assert len(inference.graph.outputs) == 1
    assert training.receptive_field.is_global  # batch norms see the whole batch


@pytest.mark.parametrize("container", [dict, tuple, list])
def test_structured_outputs(container: type) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Any:
            y = self.conv(x)
            return {"maps": y, "mean": y.mean()} if container is dict else container((y, (y.mean(),)))

    program = trace(Net(), (1, 5, 7))
    assert program.graph.outputs == ("conv", "mean")


@pytest.mark.parametrize("size", [(1, 9, 33), (3, 40, 17)])
def test_channels_and_sides_of_the_input(size: tuple[int, int, int]) -> None:
    module = nn.Sequential(nn.Conv2d(size[0], 2, 3, 2), nn.ReLU())
    with torch.no_grad():
        expected = module(torch.zeros(1, *size)).shape
    assert trace(module, size).graph.layers[-1].output_shape == expected


def test_optional_arguments_keep_their_defaults() -> None:
    assert [(name, shape) for name, _, shape in layers(Masked(), (1, 6, 6))] == [
        ("input", (1, 6, 6)), ("conv", (2, 4, 4)), ("mul", (2, 4, 4)),
    ]  # fmt: skip


def test_control_flow_on_sizes_gives_the_same_layers_and_figures_through_export() -> None:
    plain, deciding = Plain().eval(), DecidesBySize().eval()
    a, b = analyze(plain, (3, 20, 14)), analyze(deciding, (3, 20, 14))
    assert a.program.out_spec is None
    assert b.program.out_spec is not None
    assert layers(plain, (3, 20, 14)) == layers(deciding, (3, 20, 14))
    for x, y in zip(a.layers, b.layers, strict=True):
        assert (x.id, x.scope, x.params, x.macs) == (y.id, y.scope, y.params, y.macs)
        assert x.receptive_field.box(0, 0) == y.receptive_field.box(0, 0)
    assert (a.params_used, a.macs, a.activation_bytes) == (b.params_used, b.macs, b.activation_bytes)
    assert a.peak_bytes == b.peak_bytes
    assert len(layers(deciding, (3, 9, 9))) == len(layers(deciding, (3, 20, 14))) - 1  # no pool on a small map


class Casts(nn.Module):
    """Counts, that are integers, before half-precision weights, and a sum in float32 behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = nn.Parameter(torch.zeros(3, 1, 1, dtype=torch.int64), requires_grad=False)
        self.conv, self.norm = nn.Conv2d(3, 4, 3).half(), nn.BatchNorm2d(4).half()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x + self.counts)).float().sum((2, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("build", [Plain, DecidesBySize])  # by torch.fx, and by torch.export
def test_activations_are_of_the_type_of_the_weights(build: Callable[[], nn.Module], dtype: torch.dtype) -> None:
    full, found = (analyze(build().to(kind), (3, 20, 14)) for kind in (torch.float32, dtype))
    share = dtype.itemsize / 4
    assert [layer.id for layer in found.layers] == [layer.id for layer in full.layers]
    assert found.activation_bytes == full.activation_bytes * share
    assert found.peak_bytes == full.peak_bytes * share
    assert found.macs == full.macs
    assert found.unknown == ()


def test_a_cast_inside_changes_the_type_from_there() -> None:
    found = analyze(Casts(), (3, 8, 8))
    assert [(layer.id, layer.activation_bytes) for layer in found.layers] == [
        ("input", 2 * 192), ("add", 2 * 192), ("conv", 2 * 144), ("norm", 2 * 144), ("cast", 4 * 144), ("sum", 4 * 4),
    ]  # fmt: skip


def test_weights_of_two_types_that_do_not_fit_are_an_error_that_names_the_layer() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3).half(), nn.ReLU(), nn.Conv2d(4, 4, 3))
    with pytest.raises(TraceError, match="fails at 2"):
        trace(network, (3, 8, 8))


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_weights_that_are_computed_from_others(norm: Callable[[nn.Module], nn.Module]) -> None:
    found = analyze(nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.ReLU()), (3, 8, 8))
    assert [layer.kind for layer in found.layers] == ["input", "conv", "relu"]
    assert found["0"].macs == 36 * 4 * 27
    assert found.params == found.params_used == 4 * 27 + 4 + 4
    assert found.receptive_field.size == (3, 3)


def test_constants_are_no_parameters() -> None:
    found = analyze(Constant(), (3, 16, 16))
    assert [layer.kind for layer in found.layers][:3] == ["input", "mul", "conv"]
    assert found.params == found.params_used == 3 * 4 * 9 + 4 + 8 + 25


class Attended(NamedTuple):
    maps: Tensor
    weights: Tensor | None


@fx.wrap
def attend(x: Tensor) -> Attended:
    return Attended(x * 2, None)


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return attend(self.conv(x)).maps


def test_a_named_tuple_with_a_gap_carries_its_first_tensor() -> None:
    graph = analyze(Named(), (3, 8, 8)).graph
    assert [layer.inputs for layer in graph] == [(), ("input",), ("conv",), (graph.layers[2].id,)]
    assert graph.outputs == (graph.layers[3].id,)
