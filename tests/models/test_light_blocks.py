"""Dense, mobile and shuffle blocks: parameters by arithmetic, skip rules, and what each knob takes away."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from models.layers import Add, StochasticDepth


def built(name: str, **knobs: Any) -> nn.Module:
    return models.build(models.block(name).spec().replace(**knobs))


def params(name: str, **knobs: Any) -> int:
    return sum(parameter.numel() for parameter in built(name, **knobs).parameters())


def output(name: str, x: Tensor, **knobs: Any) -> Tensor:
    return built(name, in_channels=x.shape[1], **knobs)(x)


def test_depthwise_separable_convolution_against_a_full_one() -> None:
    assert params("depthwise_separable", in_channels=32, width=64, norm="none") == 2_432
    assert params("conv_norm_act", in_channels=32, width=64, norm="none") == 18_496


def test_dense_block_puts_new_maps_beside_untouched_ones() -> None:
    x = torch.randn(1, 10, 8, 8)
    out = output("dense_block", x, growth=4, depth=5)
    assert out.shape[1] == 10 + 5 * 4
    assert torch.equal(out[:, :10], x)


def test_dense_layer_without_bottleneck_is_one_convolution() -> None:
    assert params("dense_layer", in_channels=100, growth=12, bottleneck=False) == 9 * 100 * 12 + 2 * 100
    narrow = 100 * 48 + 9 * 48 * 12 + 2 * 100 + 2 * 48
    assert params("dense_layer", in_channels=100, growth=12) == narrow


@pytest.mark.parametrize(("theta", "channels"), [(0.5, 45), (0.1, 9), (1.0, 90)])
def test_transition_keeps_a_share_of_the_channels(theta: float, channels: int) -> None:
    assert output("transition", torch.randn(1, 90, 8, 8), compression=theta).shape == (1, channels, 4, 4)


@pytest.mark.parametrize("name", ["inverted_residual", "mbconv", "fused_mbconv"])
@pytest.mark.parametrize(
    ("knobs", "adds"), [({}, True), ({"stride": 2}, False), ({"width": 40}, False), ({"skip": False}, False)]
)
def test_input_is_added_where_stride_and_channels_allow_it(name: str, knobs: dict[str, Any], adds: bool) -> None:
    block = built(name, **{"in_channels": 32, "width": 32, "drop_path": 0.5, **knobs})
    assert sum(isinstance(layer, Add) for layer in block.modules()) == adds
    assert sum(isinstance(layer, StochasticDepth) for layer in block.modules()) == adds


def test_stochastic_depth_drops_whole_pictures_in_training_and_makes_up_for_it_in_those_that_stay() -> None:
    torch.manual_seed(0)
    x, layer = torch.rand(4000, 3, 2, 2) + 1, StochasticDepth(0.25)
    out = layer.train()(x)
    stays = out.flatten(1).any(1)
    assert torch.equal(out[~stays], torch.zeros_like(out[~stays]))
    torch.testing.assert_close(out[stays], x[stays] / 0.75)
    assert stays.float().mean().item() == pytest.approx(0.75, abs=0.03)  # four standard deviations
    assert torch.equal(layer.eval()(x), x)


def test_linear_bottleneck_is_an_inverted_residual_without_its_skip() -> None:
    x = torch.randn(1, 24, 8, 8)
    plain, residual = (output(name, x) for name in ("linear_bottleneck", "inverted_residual"))
    assert torch.allclose(plain + x, residual, atol=1e-6)
    assert plain.min() < 0 <= output("linear_bottleneck", x, projection_activation="relu6").min()


def test_mbconv_squeezes_to_a_quarter_of_its_input_not_of_the_expanded_map() -> None:
    base, excited = (params("mbconv", in_channels=40, width=40, attention=kind) for kind in ("none", "se"))
    expanded, squeezed = 240, 10
    assert excited - base == 2 * expanded * squeezed + expanded + squeezed


def test_fused_mbconv_without_expansion_is_one_convolution() -> None:
    kinds = [type(layer) for layer in built("fused_mbconv", expansion=1).modules() if not list(layer.children())]
    assert kinds == [Add, nn.Conv2d, nn.BatchNorm2d, nn.SiLU]


@pytest.mark.parametrize(("bypass", "in_channels", "more"), [("simple", 128, 0), ("complex", 96, 96 * 128 + 128)])
def test_fire_bypass(bypass: str, in_channels: int, more: int) -> None:
    plain = built("fire", in_channels=in_channels)
    block = built("fire", in_channels=in_channels, bypass=bypass)
    assert sum(p.numel() for p in block.parameters()) - sum(p.numel() for p in plain.parameters()) == more
    assert any(isinstance(layer, Add) for layer in block.modules())


def test_shuffle_unit_v2_hands_on_half_of_its_input_at_every_second_channel() -> None:
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(output("shuffle_unit_v2", x, width=8)[:, ::2], x[:, :4])
    assert torch.equal(output("shuffle_unit_v2", x, width=8, shuffle=False)[:, :4], x[:, :4])


def reads(block: nn.Module, x: Tensor, out_channel: int) -> list[int]:
    """The channels of x on which an output channel depends."""
    x = x.clone().requires_grad_()
    block(x)[0, out_channel].sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist()


def test_shuffle_lets_the_groups_of_shuffle_unit_v1_meet() -> None:
    x, knobs = torch.randn(1, 24, 6, 6), {"in_channels": 24, "width": 24, "bottleneck": 0.5, "activation": "silu"}
    assert reads(built("shuffle_unit_v1", shuffle=False, **knobs), x, 0) == list(range(8))
    assert reads(built("shuffle_unit_v1", **knobs), x, 0) == list(range(24))


@pytest.mark.parametrize(
    ("name", "knobs", "named"),
    [
        ("shuffle_unit_v1", {"in_channels": 25}, "in_channels=25, width=240, stride=1"),
        ("shuffle_unit_v1", {"stride": 2}, "in_channels=240, width=240, stride=2"),
        ("shuffle_unit_v1", {"in_channels": 64, "width": 64}, "in_channels=64, groups=3"),
        ("shuffle_unit_v2", {"width": 117}, "width=117"),
        ("shuffle_unit_v2", {"width": 232}, "in_channels=116, width=232, stride=1"),
    ],
)
def test_shuffle_units_refuse_what_their_groups_and_halves_cannot_be(name: str, knobs: Any, named: str) -> None:
    with pytest.raises(models.SpecError, match=f"^{named}: "):
        models.block(name).spec().replace(**knobs)


def test_compound_scaling_of_efficientnet() -> None:
    """Width in multiples of 8, depth rounded up: B3 is B0 at factors 1.2 and 1.4."""
    assert (
        models.build("efficientnet_b3", device="meta").state_dict().keys()
        == models.build("efficientnet_b0", device="meta", width_multiplier=1.2, depth_multiplier=1.4)
        .state_dict()
        .keys()
    )
    blocks = [len(stage) for stage in list(models.build("efficientnet_b3", device="meta").features)[1:-1]]  # type: ignore[arg-type]
    assert blocks == [2, 3, 3, 5, 5, 6, 2]


@pytest.mark.parametrize("kind", ["se", "non_local", "global_context"])
@pytest.mark.parametrize(
    "name",
    ["densenet_mini", "mobilenet_v1_mini", "mobilenet_v2_mini", "mobilenet_v3_mini", "mnasnet_mini",
     "efficientnet_mini", "efficientnet_v2_mini"],
)  # fmt: skip
def test_attention_of_a_kind_stands_in_dense_and_mobile_networks(name: str, kind: str) -> None:
    names = {"se": "SqueezeExcitation", "non_local": "NonLocal", "global_context": "GlobalContext"}
    found = {type(layer).__name__ for layer in models.build(name, device="meta", attention=kind).modules()}
    assert found & set(names.values()) == {names[kind]}
