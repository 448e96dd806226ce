"""Every block alone: it builds and trains with its defaults and at each knob's ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import models
from explorer.analysis.structure import analyze
from explorer.figures import graph_dot
from explorer.graph import fold
from models.knobs import ACTIVATION_NAMES, NORM_NAMES
from models.layers import activation, norm
from models.spec import Spec
from tests.oracles.meta_training import quick
from tests.support.strategies import extremes, names_a_value

BLOCKS = models.blocks()
each_block = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)


def train(block: models.Block, spec: Spec, change: Callable[[nn.Module], nn.Module] | None = None) -> tuple[int, ...]:
    """The output's shape for two inputs of the block's size, after forward and backward on meta."""
    in_channels: int = spec.in_channels  # type: ignore[attr-defined]
    module = models.build(spec, device="meta").train()
    module = change(module) if change else module
    output = module(torch.empty(2, in_channels, *block.input_size[1:], device="meta"))
    output.sum().backward()
    assert [path for path, parameter in module.named_parameters() if parameter.grad is None] == []
    return tuple(output.shape)


@each_block
def test_block_trains_with_its_defaults(block: models.Block) -> None:
    spec = block.spec()
    assert getattr(spec, "in_channels") == block.input_size[0]  # noqa: B009
    batch, channels, height, width = train(block, spec)
    assert batch == 2
    assert channels > 0
    assert (height, width) in (block.input_size[1:], tuple(side // 2 for side in block.input_size[1:]))


@each_block
def test_a_block_alone_gives_finite_maps_of_the_shape_that_its_graph_says_and_is_drawn(block: models.Block) -> None:
    spec: Any = block.spec()
    module = models.build(spec)
    output = module(torch.randn(1, spec.in_channels, 16, 16))
    graph = analyze(module, (spec.in_channels, 16, 16)).graph
    assert output.isfinite().all()
    assert output.std() > 0
    assert tuple(output.shape) == list(graph)[-1].output_shape
    folded = fold.fold(graph, fold.max_depth(graph))
    source = graph_dot.dot(folded)
    assert "->" in source
    assert all(node.id in source for node in folded.nodes)


@each_block
def test_ends_of_every_knob_build_or_are_refused_by_name(block: models.Block) -> None:
    outcomes = [accepted(block, {**dict(block.spec()), name: value}) for name, value in extremes(block.spec())]
    assert sum(outcomes) > len(outcomes) / 2


def accepted(block: models.Block, values: dict[str, Any]) -> bool:
    try:
        spec = block.spec.parse(values)
    except models.SpecError as error:
        assert names_a_value(str(error), values), error
        return False
    assert min(train(block, spec, quick)) > 0
    return True


OUTPUTS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "vgg": ({"depth": 3, "width": 128}, (128, 28, 28)),
    "nin": ({"width": 96, "mlp_widths": (40, 20)}, (20, 56, 56)),
    "conv_norm_act": ({"width": 32, "kernel": 5, "stride": 2, "padding": 2, "dilation": 2}, (32, 26, 26)),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_shape(name: str) -> None:
    changes, shape = OUTPUTS[name]
    block = models.block(name)
    assert train(block, block.spec().replace(**changes)) == (2, *shape)


def test_conv_norm_act_costs_a_gth_in_g_groups_and_drops_a_redundant_bias() -> None:
    spec = models.block("conv_norm_act").spec()
    kinds = {order: [type(layer) for layer in built(spec.replace(order=order))] for order in ORDERS}
    assert kinds == {
        "conv-norm-act": [nn.Conv2d, nn.BatchNorm2d, nn.ReLU],
        "conv-act-norm": [nn.Conv2d, nn.ReLU, nn.BatchNorm2d],
        "norm-act-conv": [nn.BatchNorm2d, nn.ReLU, nn.Conv2d],
    }
    whole, grouped = (convolution(spec.replace(groups=groups)) for groups in (1, 4))
    assert whole.bias is None
    assert whole.weight.numel() == 4 * grouped.weight.numel()
    assert convolution(spec.replace(norm="none")).bias is not None


ORDERS = ("conv-norm-act", "conv-act-norm", "norm-act-conv")


def built(spec: Spec) -> list[nn.Module]:
    return list(models.build(spec, device="meta").children())


def convolution(spec: Spec) -> nn.Conv2d:
    return next(layer for layer in built(spec) if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_activation_is_a_fresh_instance_that_leaves_its_input(name: str) -> None:
    first, second = activation(name), activation(name)
    assert first is not second
    x = torch.linspace(-4, 4, 9)
    before = x.clone()
    assert first(x).shape == x.shape
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", [name for name in NORM_NAMES if name != "none"])
def test_norm_gives_maps_of_mean_0_and_variance_1(name: str) -> None:
    x = norm(name, 24).train()(3 + 5 * torch.randn(4, 24, 8, 8))
    assert abs(x.mean().item()) < 1e-3
    assert abs(x.var().item() - 1) < 1e-2
