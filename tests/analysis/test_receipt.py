"""The counting receipt against the counters themselves, and its lines against the difference that they explain."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.jit import _get_trace_graph  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchinfo import summary

import models
from explorer import analyze
from explorer.analysis.receipt import receipt
from explorer.cli import main
from tests.oracles.light_models import timm_model
from tests.support.preset_sizes import input_size
from tests.support.receipts import MODULES, Attentive, counted, opened

PRESETS = [
    "vgg_mini", "resnet_mini", "densenet_mini", "mobilenet_v3_mini", "efficientnet_mini", "convnext_mini",
    "googlenet_mini", "squeezenet_mini", "vit_mini", "nlnet_mini", "gcnet_mini", "shufflenet_v2_mini", "vgg16",
    "efficientnet_b0", "gc_resnet50",
]  # fmt: skip


# -- torchinfo and torch.utils.flop_counter ---------------------------------------------------------------------------


def flop_counter(module: nn.Module, size: tuple[int, int, int], device: str) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, *size, device=device))
    return counter.get_total_flops()


@pytest.mark.parametrize("name", PRESETS)
def test_totals_of_presets_equal_those_of_torchinfo_and_the_flop_counter(name: str) -> None:
    module, size = models.build(name, device="meta"), input_size(name, 64)
    found = counted(module, size)
    assert found["torchinfo"].total == summary(module, (1, *size), device="meta", verbose=0).total_mult_adds
    assert found["flop_counter"].total == flop_counter(module, size, "meta")


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", MODULES)
def test_totals_of_odd_modules_equal_those_of_the_counters(name: str) -> None:
    make, size = MODULES[name]
    module = make().eval()
    found = counted(module, size)
    assert found["torchinfo"].total == summary(module, (1, *size), device="cpu", verbose=0).total_mult_adds
    assert found["flop_counter"].total == flop_counter(make().eval().to("meta"), size, "meta")
    assert found["fvcore"].total == in_the_manner_of_fvcore(module, size)


class TokensFirst(nn.Module):
    """Attention of 12 tokens to the last 7 of them, in the order [tokens, N, width]."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).permute(2, 0, 1)
        return self.attention(x, x[5:], x[5:])[0]


def test_of_attention_fvcore_counts_the_projections_of_all_tokens() -> None:
    found = counted(TokensFirst().eval(), (8, 4, 3))
    assert found["fvcore"].total == 2 * 12 * 8 * 8 + 2 * 7 * 8 * 8
    assert found["flop_counter"].total == flop_counter(TokensFirst().eval().to("meta"), (8, 4, 3), "meta")


def test_the_flop_counter_sees_nothing_in_attention_that_runs_fused() -> None:
    found, (make, size) = counted(Attentive().eval(), MODULES["attentive"][1]), MODULES["attentive"]
    (attention,) = [line for line in found["flop_counter"].lines if line.kind == "attention"]
    fused = flop_counter(make().eval(), size, "cpu")
    assert fused == found["flop_counter"].total - 2 * attention.difference


# -- fvcore -----------------------------------------------------------------------------------------------------------

Sizes = list[Any]


def values(each: int) -> Callable[[Sizes, Sizes], int]:
    return lambda inputs, outputs: each * prod(outputs[0])


def norm(weight: int, with_scale: int, without: int) -> Callable[[Sizes, Sizes], int]:
    return lambda inputs, outputs: prod(inputs[0]) * (without if inputs[weight] is None else with_scale)


# fvcore's handlers by the operation that torch.jit records, as functions of the sizes of its inputs and outputs.
HANDLERS: dict[str, Callable[[Sizes, Sizes], int]] = {
    "aten::_convolution": lambda inputs, outputs: prod(inputs[1]) * prod(outputs[0][2:]),
    "aten::linear": lambda inputs, outputs: prod(inputs[0]) * inputs[1][0],
    "aten::matmul": lambda inputs, outputs: prod(inputs[0]) * inputs[1][-1],
    "aten::bmm": lambda inputs, outputs: prod(inputs[0]) * inputs[1][-1],
    "aten::batch_norm": norm(1, 2, 1),
    "aten::layer_norm": norm(2, 5, 4),
    "aten::group_norm": norm(2, 5, 4),
    "aten::instance_norm": norm(1, 5, 4),
    "aten::adaptive_avg_pool2d": lambda inputs, outputs: prod(inputs[0]),
    "aten::upsample_nearest2d": values(1),
    "aten::upsample_bilinear2d": values(4),
}


def in_the_manner_of_fvcore(module: nn.Module, size: tuple[int, int, int]) -> int:
    """Sum over the operations that torch.jit records, as fvcore does; transposed convolutions multiply at the input."""
    graph, _ = _get_trace_graph(module, (torch.zeros(1, *size),))
    total = 0
    for node in graph.nodes():
        inputs, outputs = (
            [value.type().sizes() if value.isCompleteTensor() else None for value in found]
            for found in (list(node.inputs()), list(node.outputs()))
        )
        if node.kind() == "aten::_convolution" and list(node.inputs())[6].toIValue():
            outputs = inputs
        total += HANDLERS[node.kind()](inputs, outputs) if node.kind() in HANDLERS else 0
    return total


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("_mini")])
def test_totals_of_presets_equal_fvcores_rules_on_the_operations_that_run(name: str) -> None:
    module, size = models.build(name), (3, 64, 64)
    assert counted(module, size)["fvcore"].total == in_the_manner_of_fvcore(module, size)


class Documented(nn.Module):
    """The network in the documentation of FlopCountAnalysis, which says 3,000 for the convolution, 10,000 for fc."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1000, 10)
        self.conv = nn.Conv2d(3, 10, 1)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.conv(x)).flatten(1))


def test_fvcores_own_example_counts_what_its_documentation_says() -> None:
    assert counted(Documented(), (3, 10, 10))["fvcore"].total == 13_000


def test_resnet_50_is_4_09_g_in_papers_and_fvcore_adds_norms_and_the_pool() -> None:
    """4.09 G without the norms is what is quoted; the 53 norms see 11.1 M values of the maps, the pool 2048 × 7 × 7."""
    found = counted(models.build("resnet50", device="meta"), (3, 224, 224))
    assert found["paper"].total == 4_089_184_256
    maps = 64 * 112**2
    for blocks, width, side in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        before_stride = 3 * width * side**2 if side < 56 else 0  # the first 1×1 works on four times the positions
        maps += 2 * width * blocks * side**2 + before_stride + 4 * width * (blocks + 1) * side**2
    assert {line.kind: line.difference for line in found["fvcore"].lines} == {
        "batch_norm": 2 * maps, "adaptive_avg_pool": 2048 * 49,
    }  # fmt: skip
    assert round(found["fvcore"].total / 1e9, 2) == 4.11


def test_a_norm_that_computes_its_statistics_costs_fvcore_5_for_each_value() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3))
    trained, evaluated = (receipt(analyze(module, (3, 4, 4), training=mode))["fvcore"].total for mode in (True, False))
    assert (trained, evaluated) == (5 * 48, 2 * 48)


# -- what it says -----------------------------------------------------------------------------------------------------


def test_lines_of_one_convolution_and_one_token_wise_layer_by_hand() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Flatten(2), nn.Linear(20, 7))
    lines = {(line.kind, line.layers) for line in counted(module, (3, 4, 5))["torchinfo"].lines}
    assert lines == {("conv", (("0", 8 * 20),)), ("linear", (("2", 20 * 7 + 7 - 8 * 20 * 7),))}


def test_an_unknown_operation_is_named_in_the_receipt() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    assert counted(Odd(), (3, 8, 8)).unknown == ("special_bessel_j0",)


class KernelOfWeights(nn.Module):
    """A kernel that is made of weights: of 5 numbers for each of 4 × 3 filters, by a linear layer and a product."""

    def __init__(self) -> None:
        super().__init__()
        self.codes, self.make = nn.Parameter(torch.rand(12, 5)), nn.Linear(5, 9)
        self.mix = nn.Parameter(torch.rand(12, 12))

    def forward(self, x: Tensor) -> Tensor:
        kernel = (self.mix @ self.make(self.codes)).view(4, 3, 3, 3)
        return F.conv2d(x, kernel)


def test_products_of_weights_alone_are_a_line_of_their_own() -> None:
    alone = {"linear": 12 * 5 * 9, "matmul": 12 * 12 * 9}
    analysis = analyze(KernelOfWeights(), (3, 8, 8))
    found = counted(KernelOfWeights(), (3, 8, 8))
    assert (analysis.macs, analysis.weight_macs) == (4 * 36 * 27, sum(alone.values()))
    lines = [line for line in found["flop_counter"].lines if line.why.startswith("Products of weights alone")]
    assert {line.kind: line.difference for line in lines} == {kind: 2 * macs for kind, macs in alone.items()}
    assert found["flop_counter"].total == flop_counter(KernelOfWeights(), (3, 8, 8), "cpu")
    assert found["torchinfo"].unexplained == 0
    assert [layer.id for layer in analysis.graph] == ["input", "conv"]


@pytest.mark.parametrize(
    ("name", "macs", "by_torch"),
    [("swinv2_cr_tiny_224", 4_490_566_656, 4_639_928_064), ("edgenext_xx_small", 254_759_360, 257_905_088)],
)
def test_the_receipt_explains_what_torch_counts_of_position_biases(name: str, macs: int, by_torch: int) -> None:
    found = counted(*timm_model(name))
    assert (found["paper"].total, found["flop_counter"].total) == (macs, 2 * by_torch)
    assert found["torchinfo"].unexplained == 0


def test_the_command_says_how_many_products_of_weights_alone_are_not_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["describe", "timm:edgenext_xx_small"]) == 0
    said = "products of weights alone: 3,145,728 MACs, not counted, as they can be computed once"
    assert said in capsys.readouterr().out.splitlines()


def test_torchvisions_transformer_differs_between_tools_by_its_attention() -> None:
    """12 blocks of 197 tokens and 768 channels; q·kᵀ and its product with v are 2 · 197² · 768 each block."""
    with torch.device("meta"):
        module = torchvision.models.vit_b_16().eval()
    found = counted(module, (3, 224, 224))
    attention = {line.kind: line.difference for line in found["fvcore"].lines}
    assert attention == {"attention": -12 * 2 * 197**2 * 768, "layer_norm": 25 * 5 * 197 * 768}
    assert found["torchinfo"].total < 0.02 * found["paper"].total


def test_the_command_prints_every_total_and_every_difference(capsys: pytest.CaptureFixture[str]) -> None:
    found = counted(models.build("resnet_mini", device="meta"), (3, 64, 64))
    assert main.main(["receipt", "resnet_mini"]) == 0
    text = capsys.readouterr().out
    for tally in found.tallies:
        assert f"{tally.total:,} {tally.unit}" in text
        assert all(line.why in text and f"{line.difference:+,}" in text for line in tally.lines)


def test_the_command_as_json_gives_the_share_of_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["receipt", "torchvision:resnet18", "--input", "3x64x96", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    found = counted(models.build("resnet18", device="meta"), (3, 64, 96))
    assert data["macs"] == found["paper"].total
    assert data["unknown"] == []
    for tally, entry in zip(found.tallies, data["conventions"], strict=True):
        assert (entry["name"], entry["unit"], entry["total"]) == (tally.name, tally.unit, tally.total)
        assert [line["layers"] for line in entry["lines"]] == [dict(line.layers) for line in tally.lines]


def test_the_panel_shows_four_totals_and_opens_each_difference_to_its_layers() -> None:
    found = counted(models.build("resnet_mini", device="meta"), (3, 64, 64))
    app = opened(preset="resnet_mini", panel="receipt", convention="fvcore")
    assert not app.warning
    totals, *shares = [table.value for table in app.main.dataframe]
    assert list(totals["Total"]) == [tally.total for tally in found.tallies]
    assert list(totals["Difference"]) == [tally.difference for tally in found.tallies]
    lines = found["fvcore"].lines
    assert [dict(zip(table["Layer"], table["Difference"], strict=True)) for table in shares] == [
        dict(line.layers) for line in lines
    ]
    labels = [expander.label for expander in app.main.expander]
    assert all(any(line.why in label for label in labels) for line in lines)
    app.segmented_control(key="widget:convention").set_value("torchinfo").run()
    assert any("Scale and shift count once" in expander.label for expander in app.main.expander)
