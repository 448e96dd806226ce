"""Presets that torchvision lacks, against timm: equal logits with its weights, through a map of names per family."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import timm
import torch

import models
from models.weights.renaming import TIMM_VIT
from tests.models.test_published import filled


class Twin(NamedTuple):
    """The same network in timm: its name, how its names become ours, the pictures to compare on, knobs that differ."""

    name: str
    rename: Callable[[str], str]
    px: int
    knobs: Mapping[str, Any] = MappingProxyType({})


def substitutions(*rules: tuple[str, str]) -> Callable[[str], str]:
    """A renaming that applies regular expressions in order."""

    def rename(key: str) -> str:
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        return key

    return rename


convmixer = substitutions(
    (r"(blocks\.\d+)\.0\.fn\.0\.", r"\1.depthwise."),
    (r"(blocks\.\d+)\.0\.fn\.2\.", r"\1.norm1."),
    (r"(blocks\.\d+)\.1\.", r"\1.pointwise."),
    (r"(blocks\.\d+)\.3\.", r"\1.norm2."),
)


def mobilenet_v1(key: str) -> str:
    """timm numbers the blocks stage by stage, we through."""

    def block(found: re.Match[str]) -> str:
        before = (0, 1, 3, 5, 11)[int(found[1])]
        return f"features.{1 + before + int(found[2])}."

    key = re.sub(r"^blocks\.(\d)\.(\d)\.", block, key)
    for theirs, ours in (
        ("conv_stem.", "features.0.0."), ("conv_dw.", "depthwise.0."), ("conv_pw.", "pointwise.0."),
        (".bn1.", ".depthwise.1."), ("bn1.", "features.0.1."), ("bn2.", "pointwise.1."), ("classifier.", "fc."),
    ):  # fmt: skip
        key = key.replace(theirs, ours)
    return key


vit = TIMM_VIT.rename  # what a person's file is read by

V3_NAMES = {  # names inside the modules, as torchvision's v3 has them, by the part of the network
    "a": (
        (r"branch0\.", "branch1x1."),
        (r"branch1\.0\.", "branch5x5_1."),
        (r"branch1\.1\.", "branch5x5_2."),
        (r"branch2\.0\.", "branch3x3dbl_1."),
        (r"branch2\.1\.", "branch3x3dbl_2."),
        (r"branch2\.2\.", "branch3x3dbl_3."),
        (r"branch3\.1\.", "branch_pool."),
    ),
    "b": (
        (r"branch0\.", "branch3x3."),
        (r"branch1\.0\.", "branch3x3dbl_1."),
        (r"branch1\.1\.", "branch3x3dbl_2."),
        (r"branch1\.2\.", "branch3x3dbl_3."),
    ),
    "c": (
        (r"branch0\.", "branch1x1."),
        *((rf"branch1\.{i}\.", f"branch7x7_{i + 1}.") for i in range(3)),
        *((rf"branch2\.{i}\.", f"branch7x7dbl_{i + 1}.") for i in range(5)),
        (r"branch3\.1\.", "branch_pool."),
    ),
    "d": (
        *((rf"branch0\.{i}\.", f"branch3x3_{i + 1}.") for i in range(2)),
        *((rf"branch1\.{i}\.", f"branch7x7x3_{i + 1}.") for i in range(4)),
    ),
    "e": (
        (r"branch0\.", "branch1x1."),
        (r"branch1_0\.", "branch3x3_1."),
        (r"branch1_1([ab])\.", r"branch3x3_2\1."),
        (r"branch2_0\.", "branch3x3dbl_1."),
        (r"branch2_1\.", "branch3x3dbl_2_column."),
        (r"branch2_2\.", "branch3x3dbl_2_row."),
        (r"branch2_3([ab])\.", r"branch3x3dbl_3\1."),
        (r"branch3\.1\.", "branch_pool."),
    ),
    "stem": (
        (r"branch0\.0\.", "short_1."),
        (r"branch0\.1\.", "short_2."),
        *((rf"branch1\.{i}\.", f"long_{i + 1}.") for i in range(4)),
    ),
}


def inception_v4(key: str) -> str:
    """timm numbers all parts in one list."""
    if key.startswith("last_linear"):
        return key.replace("last_linear", "fc")
    _, number, rest = key.split(".", 2)
    for first, after, part, kind in (
        (0, 6, "stem", "stem"), (6, 10, "modules_a", "a"), (10, 11, "reduction_a", "b"),
        (11, 18, "modules_b", "c"), (18, 19, "reduction_b", "d"), (19, 22, "modules_c", "e"),
    ):  # fmt: skip
        if first <= int(number) < after:
            return f"{part}.{int(number) - first}.{substitutions(*V3_NAMES[kind])(rest)}"
    raise KeyError(key)


STEM = ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a")


def inception_resnet_v2(key: str) -> str:
    """The stem is numbered in ours; the last module, which timm keeps apart, is one of its stage."""
    part, rest = key.split(".", 1)
    if part in STEM:
        return f"stem.{STEM.index(part)}.{rest}"
    if part == "mixed_7a":
        return f"{part}." + re.sub(r"(branch\d)\.(\d)\.", r"\1_\2.", rest)
    if part in ("mixed_5b", "mixed_6a"):
        return f"{part}." + substitutions(*V3_NAMES["a" if part == "mixed_5b" else "b"])(rest)
    key = re.sub(r"^block8\.", "repeat_2.9.", key).replace("classif.", "fc.").replace("branch0.", "branches.branch1x1.")
    square = key.startswith("repeat.")
    names = {"1": "branch3x3" if square else "branch_long", "2": "branch3x3dbl"}
    return re.sub(r"branch([12])\.(\d)\.", lambda m: f"branches.{names[m[1]]}_{int(m[2]) + 1}.", key)


TWINS = {
    "convmixer_768_32": Twin("convmixer_768_32", convmixer, 56),
    "convmixer_1024_20": Twin("convmixer_1024_20_ks9_p14", convmixer, 112),
    "convmixer_1536_20": Twin("convmixer_1536_20", convmixer, 56),
    "inception_v4": Twin("inception_v4", inception_v4, 96),
    "inception_resnet_v2": Twin("inception_resnet_v2", inception_resnet_v2, 96),
    "vit_ti_16": Twin("vit_tiny_patch16_224", vit, 224),
    "vit_s_16": Twin("vit_small_patch16_224", vit, 224),
    "mobilenet_v1": Twin("mobilenetv1_100", mobilenet_v1, 64, {"activation": "relu6"}),
}


@pytest.mark.parametrize("name", TWINS)
def test_logits_equal_timms_with_its_state_dict(name: str) -> None:
    twin = TWINS[name]
    with torch.device("meta"):
        reference = timm.create_model(twin.name, pretrained=False).eval()
    ours = models.build(name, device="meta", **twin.knobs)
    state = filled(reference.state_dict())
    reference.load_state_dict(state, strict=True, assign=True)
    ours.load_state_dict({twin.rename(key): value for key, value in state.items()}, strict=True, assign=True)
    pictures = torch.randn(2, 3, twin.px, twin.px)
    with torch.inference_mode():
        expected, actual = reference(pictures), ours(pictures)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()  # the logits depend on the picture
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()
