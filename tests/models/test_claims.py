"""What the explorer lets a person check about blocks comes out of the registered blocks, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import models
from explorer import Analysis
from explorer.networks import catalog


def analysed(block: str, size: tuple[int, int, int], **knobs: Any) -> Analysis:
    """A registered block alone, its knobs given as on the command line."""
    texts = {name: str(value) for name, value in {"in_channels": size[0], **knobs}.items()}
    return catalog.find(f"block:{block}", texts).analysis(size)


def convolutions(found: Analysis) -> list[str]:
    return [layer.id for layer in found.layers if layer.kind == "conv"]


# -- small windows in a row -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [64, 256])
@pytest.mark.parametrize(("depth", "window", "stacked", "whole", "saved"), [(2, 5, 18, 25, 28), (3, 7, 27, 49, 45)])
def test_3x3_convolutions_in_a_row_see_as_far_as_one_wide_one_with_fewer_weights(
    channels: int, depth: int, window: int, stacked: int, whole: int, saved: int
) -> None:
    size = (channels, 28, 28)
    row = analysed("vgg", size, width=channels, depth=depth)
    wide = analysed("vgg", size, width=channels, depth=1, kernel=window)
    for found, weights in ((row, stacked * channels**2), (wide, whole * channels**2)):
        assert found.macs == weights * 28 * 28
        assert found.params == weights + channels * len(convolutions(found))
        assert found[convolutions(found)[-1]].receptive_field.size == (window, window)
    assert round(100 * (1 - row.macs / wide.macs)) == saved


# -- 1×1 convolutions before wide ones --------------------------------------------------------------------------------


def test_a_1x1_before_a_5x5_takes_86_5_per_cent_of_its_work_away() -> None:
    direct = analysed("conv_norm_act", (256, 28, 28), width=128, kernel=5, padding=2)
    module = analysed("inception", (256, 28, 28), reduce5=32, conv5=128)
    reduced = [module[name] for name in convolutions(module) if name.startswith("branch3")]
    assert reduced[-1].output_shape == direct.layers[-1].output_shape == (1, 128, 28, 28)
    assert direct.macs == 642_252_800
    assert [layer.macs for layer in reduced] == [6_422_528, 80_281_600]
    assert f"{1 - 86_704_128 / direct.macs:.1%}" == "86.5%"
    assert sum(layer.macs or 0 for layer in reduced) == 86_704_128


def test_the_first_inception_module_makes_256_channels_of_192_and_keeps_the_map() -> None:
    found = analysed("inception", (192, 28, 28), conv1=64, reduce3=96, conv3=128, reduce5=16, conv5=32, pool_conv=32)
    assert found.layers[-1].output_shape == (1, 256, 28, 28)
    assert 64 + 128 + 32 + 32 == 256


# -- channels apart ---------------------------------------------------------------------------------------------------


def test_a_depthwise_separable_convolution_has_2_432_weights_where_a_whole_one_has_18_496() -> None:
    whole = analysed("conv_norm_act", (32, 56, 56), width=64, norm="none")
    separable = analysed("depthwise_separable", (32, 56, 56), width=64, norm="none")
    assert (whole.params, separable.params) == (18_496, 2_432)
    assert whole.layers[-1].output_shape == separable.layers[-1].output_shape == (1, 64, 56, 56)
    assert separable.macs == 56 * 56 * (32 * 9 + 32 * 64)
    assert whole.macs == 56 * 56 * 32 * 9 * 64


@pytest.mark.parametrize("groups", [2, 4, 8, 32, 64])
def test_a_grouped_convolution_costs_one_gth(groups: int) -> None:
    whole = analysed("conv_norm_act", (64, 14, 14), width=128)
    grouped = analysed("conv_norm_act", (64, 14, 14), width=128, groups=groups)
    (name,) = convolutions(whole)
    assert whole[name].params == groups * grouped[name].params == 9 * 64 * 128
    assert whole.macs == groups * grouped.macs


# -- what a strided 1×1 never reads -----------------------------------------------------------------------------------

SIDE = 56


def share_with_gradient(block: str, part: str, **knobs: Any) -> float:
    """Share of the input's positions on which the output of a part of the block depends."""
    spec = models.block(block).spec().replace(**knobs)
    module = models.build(spec).get_submodule(part)
    x = torch.randn(1, spec.in_channels, SIDE, SIDE, requires_grad=True)  # type: ignore[attr-defined]
    module(x).square().sum().backward()
    assert x.grad is not None
    return (x.grad.abs().sum(1) > 0).double().mean().item()


def share_in_fields(block: str, layer: str, **knobs: Any) -> float:
    """Share of the input's positions that lie in the receptive field of some unit of a layer."""
    channels = knobs.pop("in_channels")
    report = analysed(block, (channels, SIDE, SIDE), **knobs)[layer]
    seen = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for row in range(report.output_shape[2]):
        for column in range(report.output_shape[3]):
            top, left, bottom, right = report.receptive_field.box(row, column)
            seen[top:bottom, left:right] = True
    return seen.double().mean().item()


@pytest.mark.parametrize(("shortcut", "share"), [("projection", 0.25), ("zero_pad", 0.25), ("pool_projection", 1.0)])
def test_of_a_map_75_per_cent_never_reach_a_strided_shortcut_that_does_not_average(shortcut: str, share: float) -> None:
    knobs: dict[str, Any] = {"in_channels": 64, "width": 128, "stride": 2, "shortcut": shortcut}
    last = {"projection": "downsample.0", "zero_pad": "downsample.0", "pool_projection": "downsample.1"}[shortcut]
    assert share_with_gradient("residual_basic", "downsample", **knobs) == share
    assert share_in_fields("residual_basic", last, **knobs) == share


def test_a_bottleneck_that_strides_in_its_1x1_loses_the_same_75_per_cent_in_its_branch() -> None:
    knobs: dict[str, Any] = {"in_channels": 64, "width": 32, "stride": 2}
    assert share_in_fields("residual_bottleneck", "conv3", **knobs, stride_in="conv2") == 1.0
    assert share_in_fields("residual_bottleneck", "conv1", **knobs, stride_in="conv1") == 0.25
    assert share_with_gradient("residual_bottleneck", "", **knobs, stride_in="conv1") == 0.25
