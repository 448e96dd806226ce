"""Presets that torchvision lacks, against timm: equal logits with its weights, through a map of names per family."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
import timm
import torch

import models
from tests.test_published import filled


class Twin(NamedTuple):
    """The same network in timm: its name, how its state dict's names become ours, and the pictures to compare on."""

    name: str
    rename: Callable[[str], str]
    px: int


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

TWINS = {
    "convmixer_768_32": Twin("convmixer_768_32", convmixer, 56),
    "convmixer_1024_20": Twin("convmixer_1024_20_ks9_p14", convmixer, 112),
    "convmixer_1536_20": Twin("convmixer_1536_20", convmixer, 56),
}


@pytest.mark.parametrize("name", TWINS)
def test_logits_equal_timms_with_its_state_dict(name: str) -> None:
    twin = TWINS[name]
    with torch.device("meta"):
        reference = timm.create_model(twin.name, pretrained=False).eval()
    ours = models.build(name, device="meta")
    state = filled(reference.state_dict())
    reference.load_state_dict(state, strict=True, assign=True)
    ours.load_state_dict({twin.rename(key): value for key, value in state.items()}, strict=True, assign=True)
    pictures = torch.randn(2, 3, twin.px, twin.px)
    with torch.inference_mode():
        expected, actual = reference(pictures), ours(pictures)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()  # the logits depend on the picture
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()
