"""Costs against what other counters and real runs say; each known difference has a test that names it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode
from torchinfo import summary

import models
from explorer import analyze
from explorer.graph.trace import TracedProgram, trace
from tests.oracles.light_models import torchvision_model
from tests.oracles.meta_training import quick
from tests.support.preset_sizes import input_size

# Real runs: the size is the smallest that each network takes, or near.
RUN = {
    "alexnet": 64, "convnext_tiny": 64, "densenet121": 64, "efficientnet_b0": 64, "googlenet": 64, "inception_v3": 75,
    "mobilenet_v2": 64, "mobilenet_v3_small": 64, "regnet_y_400mf": 64, "resnet18": 64, "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64, "vgg11_bn": 32, "vit_b_32": 224,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# -- Params and multiply-accumulates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.presets())
def test_presets_cost_what_the_flop_counter_says(name: str) -> None:
    module = models.build(name, device="meta").eval()
    size = input_size(name, 96)
    found = analyze(module, size)
    assert found.params == sum(p.numel() for p in module.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        quick(module)(torch.empty(1, *size, device="meta"))
    assert found.macs == counter.get_total_flops() // 2
    assert sum(layer.params for layer in found.layers) == found.params_used


def in_the_manner_of_torchinfo(module: nn.Module, size: tuple[int, int, int]) -> int:
    """Our figure, with what torchinfo adds: it multiplies *all* parameters of a convolution by the positions of its
    output, biases included, and counts the parameters of every other layer (linear ones, norms) once."""
    graph = analyze(module, size).graph
    total = 0
    for layer in graph:
        positions = prod(layer.output_shape[2:]) if layer.kind == "conv" else 1
        total += layer.param_count * positions
    return total


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18", "resnet_mini", "googlenet_2014", "nin"])
def test_torchinfo_counts_biases_and_norms_as_multiply_adds(name: str) -> None:
    module = models.build(name, device="meta").eval()
    size = input_size(name, 96)
    theirs = summary(module, (1, *size), device="meta", verbose=0)
    found = analyze(module, size)
    assert theirs.total_params == found.params
    assert theirs.total_mult_adds == in_the_manner_of_torchinfo(module, size) > found.macs


class Functional(nn.Module):
    """A convolution as a function of a parameter, and one as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.kernel = nn.Parameter(torch.zeros(5, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.conv(x), self.kernel)


class Tokens(nn.Module):
    """A linear layer over every position of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 7, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(2).transpose(1, 2))


class Products(nn.Module):
    """Products of two activations, batched and not."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        return torch.einsum("bij,bkj->bik", x @ x.transpose(1, 2), x.transpose(1, 2))


@pytest.mark.parametrize(
    ("module", "ours", "theirs"),
    [
        (Functional(), 6 * 5 * (4 * 27 + 5 * 4), 6 * 5 * 4 * 27),
        (Tokens(), 8 * 7 * 3 * 7, 3 * 7),
        (Products(), 3 * 3 * 56 + 3 * 56 * 3, 0),
    ],
    ids=["functional convolutions", "positions of a linear layer", "products of activations"],
)
def test_torchinfo_misses(module: nn.Module, ours: int, theirs: int) -> None:
    size = (3, 8, 7)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, *size))
    assert analyze(module, size).macs == counter.get_total_flops() // 2 == ours
    assert summary(module, (1, *size), verbose=0).total_mult_adds == theirs


@pytest.mark.parametrize(
    ("module", "macs"),
    [
        (nn.Conv2d(6, 4, (3, 1), groups=2, bias=False), 6 * 8 * 4 * 3 * 3),
        (nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2), 8 * 8 * 6 * 2 * 9),
        (nn.Conv2d(6, 6, 3, dilation=2, padding=2, groups=6), 64 * 6 * 9),
        (nn.Sequential(nn.Flatten(), nn.Linear(384, 10)), 3840),
        (nn.Sequential(nn.Conv2d(6, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2)), 64 * 12),
    ],
    ids=["grouped", "transposed", "depthwise", "linear", "norms and pools are free"],
)
def test_multiply_accumulates_by_hand(module: nn.Module, macs: int) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(2, 6, 8, 8))  # batch norm apart, whose statistics need two values
    assert analyze(module, (6, 8, 8)).macs == counter.get_total_flops() // 4 == macs


class Product(nn.Module):
    """A function of an image's tokens [1, 12, 4], and of weights or of a module."""

    def __init__(self, function: Callable[..., Tensor], *weights: int, module: nn.Module | None = None) -> None:
        super().__init__()
        self.function, self.module = function, module
        self.weight = nn.Parameter(torch.zeros(weights))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x.flatten(2).transpose(1, 2), self.module or self.weight)


def self_attention(x: Tensor, attention: nn.Module) -> Tensor:
    return attention(x, x, x)[0]


def attention_masked(x: Tensor, weight: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x, attn_mask=x @ x.transpose(1, 2))


def attention_by_name(x: Tensor, weight: Tensor) -> Tensor:
    """Five keys, and values three times as wide."""
    return F.scaled_dot_product_attention(key=x[:, :5], value=torch.cat([x, x, x], 2)[:, :5], query=x)


def attention_to_others(x: Tensor, attention: nn.Module) -> Tensor:
    return attention(x, value=torch.cat([x, x], 2)[:, 5:], key=x[:, 5:, :3])[0]


PRODUCTS: dict[str, tuple[Product, int]] = {
    "weights first": (Product(lambda x, w: torch.matmul(w, x), 8, 12), 8 * 12 * 4),
    "weights last": (Product(lambda x, w: x @ w, 4, 7), 12 * 4 * 7),
    "a batch of weights": (Product(lambda x, w: torch.matmul(w, x), 5, 8, 12), 5 * 8 * 12 * 4),
    "matrices": (Product(lambda x, w: torch.mm(w, x[0]), 8, 12), 8 * 12 * 4),
    "batches": (Product(lambda x, w: torch.bmm(x, mat2=x.transpose(1, 2)), 1), 12 * 4 * 12),
    "attention under a mask from the image": (Product(attention_masked, 1), 3 * 12 * 12 * 4),
    "attention by name": (Product(attention_by_name, 1), 12 * 5 * (4 + 12)),
    "tokens first": (
        Product(lambda x, m: self_attention(x.transpose(0, 1), m), module=nn.MultiheadAttention(4, 2)),
        4 * 12 * 4 * 4 + 2 * 12 * 12 * 4,
    ),
    "twelve sequences of one token": (
        Product(self_attention, module=nn.MultiheadAttention(4, 2)), 12 * (4 * 4 * 4 + 2 * 4)
    ),
    "one sequence without batch": (
        Product(lambda x, m: self_attention(x[0], m), module=nn.MultiheadAttention(4, 2, batch_first=True)),
        4 * 12 * 4 * 4 + 2 * 12 * 12 * 4,
    ),
    "fewer keys of other widths": (
        Product(attention_to_others, module=nn.MultiheadAttention(4, 2, kdim=3, vdim=8, batch_first=True)),
        2 * 12 * 4 * 4 + 7 * 4 * (3 + 8) + 2 * 12 * 7 * 4,
    ),
    "keys that are no tokens": (
        Product(self_attention, module=nn.MultiheadAttention(4, 1, add_bias_kv=True, add_zero_attn=True,
                                                             batch_first=True)),
        4 * 12 * 4 * 4 + 2 * 12 * 14 * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_cost_by_the_roles_of_their_operands(name: str) -> None:
    module, by_hand = PRODUCTS[name]
    module, size = module.eval().to("meta"), (4, 3, 4)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, *size, device="meta"))
    found = analyze(module, size)
    assert found.macs == counter.get_total_flops() // 2 == by_hand


def test_the_flop_counter_misses_a_product_with_a_vector() -> None:
    module = Product(lambda x, w: torch.matmul(w, x), 12)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 4, 3, 4))
    assert (analyze(module, (4, 3, 4)).macs, counter.get_total_flops()) == (12 * 4, 0)


def test_an_unknown_operation_is_reported_and_not_counted_as_nothing() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    found = analyze(Odd(), (3, 8, 8))
    assert [found.graph[name].op for name in found.unknown] == ["special_bessel_j0"]
    assert found[found.unknown[0]].macs is None


# -- Bytes ------------------------------------------------------------------------------------------------------------


class Tracked(fx.Interpreter):
    """Runs a program on real tensors as torch.fx does, which frees each value after its last use, and adds up the
    storages that hold values."""

    def __init__(self, program: TracedProgram) -> None:
        super().__init__(program.module, graph=program.program)
        self.constants = program.constants
        weights = program.module.state_dict().values()
        self.weights = {tensor.untyped_storage()._cdata for tensor in weights}
        self.activations = set(program.nodes.values())
        self.all: dict[int, Tensor] = {}  # keeps every storage alive, so that its address names it
        self.total = self.peak = 0

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        held = self._storages([value for node, value in self.env.items() if node in self.activations])
        new = self._storages([result]) if n in self.activations else {}
        self.peak = max(self.peak, sum((held | new).values()))
        return result

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.constants[target] if target in self.constants else super().get_attr(target, args, kwargs)

    def _storages(self, values: list[Any]) -> dict[int, int]:
        found = {}
        for tensor in pytree.tree_leaves(values):
            if isinstance(tensor, Tensor) and (key := tensor.untyped_storage()._cdata) not in self.weights:
                found[key] = tensor.untyped_storage().nbytes()
                if key not in self.all:
                    self.all[key] = tensor
                    self.total += found[key]
        return found


@pytest.mark.parametrize("name", RUN)
def test_bytes_of_activations_are_those_of_a_real_run(name: str) -> None:
    size = (3, RUN[name], RUN[name])
    module = torchvision_model(name).to_empty(device="cpu")
    found = analyze(module, size)
    run = Tracked(trace(module, size))
    with torch.no_grad():
        run.run(torch.zeros(1, *size))
    image = 4 * prod(size)
    assert run.total == found.activation_bytes + image
    assert run.peak == found.peak_bytes


@pytest.mark.parametrize("name", ["zfnet_mini", "googlenet_mini", "resnet18", "alexnet_2012"])
def test_bytes_of_activations_of_presets(name: str) -> None:
    module = models.build(name).eval()
    size = input_size(name, 64)
    found, run = analyze(module, size), Tracked(trace(module, size))
    with torch.no_grad():
        run.run(torch.zeros(1, *size))
    assert (run.total - 4 * prod(size), run.peak) == (found.activation_bytes, found.peak_bytes)


def test_peak_by_hand() -> None:
    """A residual block holds its input while the branch runs; in-place layers and views hold nothing new."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            x = x + 1
            return (x + self.relu(self.conv(x))).flatten(1)

    found = analyze(Block(), (1, 8, 8))
    assert [layer.activation_bytes for layer in found.layers] == [256, 256, 256, 0, 256, 0]
    assert found.activation_bytes == 3 * 256
    assert found.peak_bytes == 3 * 256


@pytest.mark.parametrize("name", ["zfnet_mini", "resnet18"])
def test_weight_bytes_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    module = models.build(name)
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    data = (tmp_path / "weights.safetensors").read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    assert analyze(module, (3, 64, 64)).weight_bytes == len(data) - header
