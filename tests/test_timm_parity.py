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
from tests.test_published import filled


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


vit = substitutions(
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "encoder.pos_embedding"),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^norm\.", "encoder.ln."),
    (r"^head\.", "heads.head."),
    (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
    (r"\.attn\.qkv\.", ".self_attention.in_proj_"),
    (r"\.attn\.proj\.", ".self_attention.out_proj."),
    (r"\.norm([12])\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
)

TWINS = {
    "convmixer_768_32": Twin("convmixer_768_32", convmixer, 56),
    "convmixer_1024_20": Twin("convmixer_1024_20_ks9_p14", convmixer, 112),
    "convmixer_1536_20": Twin("convmixer_1536_20", convmixer, 56),
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
