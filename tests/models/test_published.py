"""Every preset against what is published: torchvision's logits, parameters and operations, the papers' figures."""

from __future__ import annotations

import math
import zlib
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.regnet import BlockParams

import models
from tests.oracles.meta_training import macs

TORCHVISION = {name: other for name in models.presets() if (other := models.preset(name).torchvision)}
# Torchvision's classifiers that no preset equals: the program has its convolutional networks, and of the transformers
# the plain one, ViT-B/16, to compare them with. The others differ in windows and attention, or in size alone.
TRANSFORMERS = {
    "maxvit_t", "swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b",
    "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14",
}  # fmt: skip
FAST_PX = 64  # equal logits need no 224 px


def test_every_classifier_of_torchvision_is_a_preset_but_for_further_transformers() -> None:
    assert set(torchvision.models.list_models(module=torchvision.models)) - set(TORCHVISION.values()) == TRANSFORMERS


def filled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Random tensors of a meta state dict's shapes that keep a network's activations near 1."""
    noise = torch.rand(1_000_003, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for name, value in list(state.items()):
        state[name] = fill(name, value, noise)
    return state  # the same dict, as MnasNet reads the version that is attached to it


def fill(name: str, value: Tensor, noise: Tensor) -> Tensor:
    if not value.is_floating_point():
        return torch.ones(value.shape, dtype=value.dtype)
    start = zlib.crc32(name.encode()) % len(noise)  # equal shapes under other names get other values
    stop = start + value.numel()
    random = noise.repeat(stop // len(noise) + 1)[start:stop] if stop > len(noise) else noise[start:stop].clone()
    random = random.view(value.shape)
    if value.dim() > 1:
        return random.mul_(math.sqrt(6 / value[0].numel()))
    return random.mul_(0.5).add_(0.0 if name.endswith(("bias", "mean")) else 1.0)


def published(name: str) -> dict[str, Any]:
    """What torchvision says of its first weights for the preset's own picture size."""
    weights = {entry.name: entry.meta for entry in torchvision.models.get_model_weights(name)}
    return weights.get("IMAGENET1K_V1") or weights["IMAGENET1K_SWAG_LINEAR_V1"]


def torchvisions(name: str) -> nn.Module:
    """Torchvision's network on meta; its RegNets compute their widths with tensors, which needs a real device."""
    widths = BlockParams.from_init_params

    def on_cpu(**knobs: Any) -> BlockParams:
        with torch.device("cpu"):
            return widths(**knobs)

    with torch.device("meta"), patch.object(BlockParams, "from_init_params", on_cpu):
        return torchvision.models.get_model(name, weights=None).eval()


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", TORCHVISION)
def test_logits_equal_torchvisions_with_its_state_dict(name: str) -> None:
    reference, ours = torchvisions(TORCHVISION[name]), models.build(name, device="meta")
    state = filled(reference.state_dict())
    for model in (reference, ours):
        model.load_state_dict(state, strict=True, assign=True)
    px = max(FAST_PX, *published(TORCHVISION[name])["min_size"])
    pictures = torch.randn(2, 3, px, px)
    with torch.inference_mode():
        expected, actual = reference(pictures), ours(pictures)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()  # the logits depend on the picture
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", TORCHVISION)
def test_size_equals_torchvisions(name: str) -> None:
    """`num_params`, and `_ops`: in 10⁹ multiply-accumulates of convolutions and linear layers, to its last digit."""
    meta = published(TORCHVISION[name])
    model = models.build(name, device="meta")
    state_params = sum(parameter.numel() for parameter in model.parameters())
    auxiliary = sum(p.numel() for path, p in model.named_parameters() if path.startswith("aux"))
    assert state_params - auxiliary == meta["num_params"]
    decimals = len(str(meta["_ops"]).partition(".")[2])
    assert round(macs(model, models.spec(name)) / 1e9, decimals) == meta["_ops"]
