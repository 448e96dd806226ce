"""A layer leads to the knobs that made it: what the papers' tables say, and what the Spec of another network would."""

from __future__ import annotations

import time

import pytest

import models
from explorer.networks.knob_of_layer import knobs_of_layer
from explorer.networks.knob_paths import written


def made_by(preset: str, layer: str) -> set[str]:
    found = knobs_of_layer(models.spec(preset), models.architecture_of(preset), layer)
    return {written(path) for path in found}


def entries(found: set[str]) -> set[str]:
    """Those of stages: entries of tuples and of nested Specs."""
    return {name for name in found if "[" in name}


@pytest.mark.parametrize(
    ("preset", "layer", "expected"),
    [
        ("resnet50", "layer2.1.conv2", {"depths[1]", "widths[1]"}),
        ("resnet50", "layer2.0.conv2", {"widths[1]", "strides[1]"}),  # the first block of a stage is never left out
        ("resnet50", "layer2.0.downsample.0", {"widths[0]", "widths[1]", "strides[1]"}),
        ("resnet50", "conv1", set()),
        ("resnet50", "fc", {"widths[3]"}),
        ("vgg16", "features.5", {"widths[0]", "widths[1]"}),
        ("vgg16", "features.12", {"depths[2]", "widths[2]"}),
        ("efficientnet_b0", "features.3.1.block.1.0",
         {"stages[2].block", "stages[2].expansion", "stages[2].kernel", "stages[2].width", "stages[2].depth"}),
    ],
)  # fmt: skip
def test_a_convolution_hangs_on_its_own_stage_and_on_the_one_before(
    preset: str, layer: str, expected: set[str]
) -> None:
    assert entries(made_by(preset, layer)) == expected


def test_knobs_of_the_whole_network_are_among_them_where_they_touch_the_layer() -> None:
    assert {"kernel", "stride_in", "width_factor"} <= made_by("resnet50", "layer2.0.conv2")
    assert {"stem_kernel", "stem_stride", "stem_width", "in_channels"} <= made_by("resnet50", "conv1")
    assert {"num_classes", "expansion"} <= made_by("resnet50", "fc")
    assert "stem_kernel" not in made_by("resnet50", "layer2.0.conv2")
    assert made_by("resnet50", "input") == {"in_channels", "image_size"}
    assert made_by("resnet50", "no.such.layer") == set()


def test_a_second_call_of_a_module_hangs_on_what_the_module_does() -> None:
    assert made_by("resnet50", "conv1#2") == made_by("resnet50", "conv1")


def test_a_large_network_is_answered_once_and_then_at_once() -> None:
    assert made_by("efficientnet_b7", "features.0.0")
    began = time.process_time()
    assert {"stages[6].width", "head_width"} <= made_by("efficientnet_b7", "features.8.0")
    assert time.process_time() - began < 0.5
