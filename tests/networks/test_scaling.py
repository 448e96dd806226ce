"""Scaling: which knobs are a network's width, depth and resolution, for every preset; compound as the paper has it."""

from __future__ import annotations

import pytest

import models
from explorer.errors import UserError
from explorer.networks import scaling
from explorer.networks.footprint import footprint
from models.families.efficientnet import EfficientNetSpec
from models.spec import NetSpec

ONE_OF_EACH_FAMILY = [next(iter(family.presets)) for family in models.architectures()]
# The families whose plan lists layers one by one, each with its own window: nothing in it can be repeated blindly.
OF_FIXED_DEPTH = {"lenet", "alexnet", "zfnet", "inception_v2"}


def macs(spec: NetSpec) -> int:
    return footprint(spec).macs


@pytest.mark.parametrize("preset", models.presets())
def test_every_preset_is_scaled_in_every_way_that_it_is_said_to_have(preset: str) -> None:
    spec = models.spec(preset)
    found = scaling.ways(spec)
    family = models.architecture_of(preset).name
    assert {scaling.WIDTH, scaling.RESOLUTION} <= set(found)
    assert (scaling.DEPTH in found) is (family not in OF_FIXED_DEPTH)
    assert (scaling.COMPOUND in found) is (len(found) == 4)
    for way in found:
        assert scaling.scale(spec, way, 1.0, 2) == spec
        assert scaling.moved_knobs(spec, way)


@pytest.mark.parametrize("preset", ONE_OF_EACH_FAMILY)
def test_a_network_half_as_wide_again_or_as_deep_computes_more_and_one_of_half_the_width_less(preset: str) -> None:
    spec = models.spec(preset)
    for way in (way for way in scaling.ways(spec) if way in (scaling.WIDTH, scaling.DEPTH)):
        assert macs(scaling.scale(spec, way, 1.5)) > macs(spec)
    assert macs(scaling.scale(spec, scaling.WIDTH, 0.5)) < macs(spec)


def test_one_step_of_compound_scaling_is_equation_3_and_about_doubles_the_multiply_accumulates() -> None:
    b0 = models.spec("efficientnet_b0")
    larger = scaling.scale(b0, scaling.COMPOUND, 2.0)
    assert isinstance(larger, EfficientNetSpec)
    # Tan and Le 2019, section 3.3: α = 1.2, β = 1.1, γ = 1.15, on 224 px in multiples of 8.
    assert (larger.depth_multiplier, larger.width_multiplier, larger.image_size) == (1.2, 1.1, 256)
    assert macs(larger) / macs(b0) == pytest.approx(2, rel=0.2)


def test_the_width_of_a_residual_net_is_its_stages_and_not_the_inside_of_its_blocks() -> None:
    assert scaling.moved_knobs(models.spec("resnet50"), scaling.WIDTH) == ["widths", "stem_width"]
    assert scaling.moved_knobs(models.spec("mobilenet_v2"), scaling.WIDTH) == ["width_multiplier"]


def test_a_transformer_keeps_what_its_heads_and_patches_divide() -> None:
    found = scaling.scale(models.spec("vit_b_16"), scaling.COMPOUND, 1.37, 2)
    assert (found.model_dump()["width"] % 12, found.image_size % 16) == (0, 0)


def test_one_more_block_stands_in_each_stage_in_turn() -> None:
    found = [spec.model_dump()["depths"] for spec in scaling.one_more(models.spec("resnet18"), scaling.DEPTH)]
    assert found == [(3, 2, 2, 2), (2, 3, 2, 2), (2, 2, 3, 2), (2, 2, 2, 3)]


def test_an_unknown_way_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="way='height' is not one of width, depth, resolution, compound"):
        scaling.scale(models.spec("resnet18"), "height", 2.0)
