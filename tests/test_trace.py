"""What tracing makes of the ways in which people write networks, and what it leaves behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from explorer import analyze
from explorer.errors import TraceError, UserError
from explorer.trace import trace


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


class Plain(nn.Module):
    """A convolution, a norm and a rectifier, pooled where the map is large."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x)))
        return self.fc(F.max_pool2d(x, 3).mean((2, 3)))


class DecidesBySize(Plain):
    """The same, but torch.fx cannot follow it: it looks at the size of the map."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x)))
        if x.shape[2] > 8:
            x = F.max_pool2d(x, 3)
        return self.fc(x.mean((2, 3)))


def layers(module: nn.Module, size: tuple[int, int, int] = (3, 16, 12)) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(layer.id, layer.kind, layer.output_shape[1:]) for layer in trace(module, size).graph]


def test_functions_methods_and_operators_are_layers() -> None:
    found = analyze(Functional(), (3, 16, 12))
    assert [layer.kind for layer in found.layers] == [
        "input", "conv", "relu", "max_pool", "mul", "conv", "concat", "mean", "reshape", "select", "linear", "softmax",
    ]  # fmt: skip
    assert found["conv#2"].params == 0  # its weight is that of the first convolution
    assert found.params == found.params_used == 3 * 4 * 9 + 4 + 20
    assert found["conv#2"].macs == 3 * 7 * 5 * 4 * 9 and found["linear"].macs == 20
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
    assert heads == [(1, 1000)] * len(heads) and len(heads) == (3 if name == "googlenet" else 2)
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
    assert a.program.out_spec is None and b.program.out_spec is not None  # the one by torch.fx, the other exported
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
    assert found.activation_bytes == full.activation_bytes * share and found.peak_bytes == full.peak_bytes * share
    assert found.macs == full.macs and found.unknown == ()


def test_a_cast_inside_changes_the_type_from_there() -> None:
    found = analyze(Casts(), (3, 8, 8))
    assert [(layer.id, layer.activation_bytes) for layer in found.layers] == [
        ("input", 2 * 192), ("add", 2 * 192), ("conv", 2 * 144), ("norm", 2 * 144), ("cast", 4 * 144), ("sum", 4 * 4),
    ]  # fmt: skip


def test_weights_of_two_types_that_do_not_fit_are_an_error_that_names_the_layer() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3).half(), nn.ReLU(), nn.Conv2d(4, 4, 3))
    with pytest.raises(TraceError, match="fails at 2"):
        trace(network, (3, 8, 8))


def state(module: nn.Module) -> list[Any]:
    """Everything that a trace could leave behind."""
    tensors = [*module.parameters(), *module.buffers()]
    parts = list(module.modules())
    return [
        [(part.training, sorted(vars(part)), len(part._forward_hooks), len(part._forward_pre_hooks)) for part in parts],
        [(id(t), t._version, t.requires_grad, t.grad, t.device.type, t.clone().tolist()) for t in tensors],
        torch.get_rng_state().tolist(),
    ]


class Constant(Plain):
    """A tensor made in forward, which torch.fx would keep on the module."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * torch.tensor([0.5]))


class Fails(Plain):
    """The linear layer does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(7, 5)


class Raises(Plain):
    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        raise KeyError("no such stage")


@pytest.mark.parametrize("build", [Plain, Constant, DecidesBySize, Fails, Raises])
@pytest.mark.parametrize("training", [False, True])
def test_the_module_is_left_as_it_was(build: Callable[[], nn.Module], training: bool) -> None:
    module = build()
    module.norm.eval()  # type: ignore[union-attr]
    before = state(module)
    if build in (Fails, Raises):
        with pytest.raises(TraceError):
            trace(module, training=training)
    else:
        trace(module, training=training)
    trace(module, training=training, partial=True)
    assert state(module) == before


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


# -- Networks that cannot run -----------------------------------------------------------------------------------------


def test_an_error_names_the_layer_and_the_reason_in_one_sentence() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(5, 4, 3)))
    with pytest.raises(TraceError) as error:
        analyze(network, (3, 8, 8))
    assert isinstance(error.value, UserError)
    assert "Sequential" in str(error.value) and "1.1" in str(error.value) and "\n" not in str(error.value)
    assert "4x6x6" in str(error.value)


def test_too_small_an_image_is_an_error_that_names_the_layer() -> None:
    with torch.device("meta"):
        module = torchvision.models.alexnet()
    with pytest.raises(TraceError, match=r"features\.\d+"):
        analyze(module, (3, 16, 16))


def test_partial_still_goes_through_export_where_torch_fx_stops() -> None:
    found = trace(nn.Sequential(nn.Identity(), DecidesBySize()), (3, 20, 14), partial=True)
    assert found.graph.failure is None and found.graph.layers[-1].output_shape == (1, 5)


@pytest.mark.parametrize("build", [Fails, Raises])
def test_partial_gives_the_layers_up_to_the_failure(build: Callable[[], nn.Module]) -> None:
    found = analyze(build(), (3, 16, 16), partial=True)
    failure = found.graph.failure
    assert failure is not None
    kinds = [layer.kind for layer in found.layers]
    if build is Fails:
        assert failure.path == "fc" and kinds == ["input", "conv", "batch_norm", "relu", "max_pool", "mean"]
        assert found.macs == 14 * 14 * 4 * 27
    else:
        assert kinds[0] == "input" and "no such stage" in failure.reason


def test_a_network_that_nothing_can_trace_says_so() -> None:
    class Loops(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            while x.sum() > 0:
                x = x - 1
            return x

    with pytest.raises(TraceError, match="Loops fails at its own code: symbolically traced"):
        trace(Loops(), (3, 8, 8))


# -- Memory -----------------------------------------------------------------------------------------------------------

FORTY_GIGABYTES = """
import resource, sys, torch
from torch import nn
from explorer import analyze
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with torch.device("meta"):
    small = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    large = nn.Sequential(nn.Conv2d(3, 4096, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(4096 * 112 * 112, 200))
analyze(small, (3, 8, 8))
before = peak_mb()
found = analyze(large, (3, 224, 224))
print(found.weight_bytes, found.peak_bytes, peak_mb() - before)
"""


def test_a_network_of_40_gigabytes_is_analysed_without_memory() -> None:
    done = subprocess.run([sys.executable, "-c", FORTY_GIGABYTES], capture_output=True, text=True, check=True)
    weight_bytes, peak_bytes, grown_mb = map(float, done.stdout.split())
    assert weight_bytes > 40e9 and peak_bytes > 1e9
    assert grown_mb < 50


def test_real_weights_are_not_copied() -> None:
    """The weights of a module on the CPU stay where they are: only their shapes are used."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    program = trace(module, (3, 8, 8))
    assert program.module is module
    leaves = pytree.tree_leaves([list(program.constants.values()), [layer.attributes for layer in program.graph]])
    assert not any(isinstance(leaf, Tensor) for leaf in leaves)
