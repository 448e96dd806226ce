"""Residual networks that torchvision lacks, against timm: equal logits with its weights, through explicit key maps."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import timm
import torch
from timm.layers.global_context import GlobalContext
from timm.layers.non_local_attn import NonLocalAttn
from torch import nn

import models
from tests.models.test_published import filled

PX = 64


def squeezed(key: str) -> str:
    """timm's ResNet with squeeze-excitation."""
    return key.replace(".se.", ".attention.")


def context(key: str) -> str:
    """timm's ResNet with global context."""
    return squeezed(key).replace("attention.conv_attn", "attention.attention").replace(".mlp_add.", ".")


def non_local(key: str) -> str:
    """timm's non-local block, in a ResNet's blocks or between them (where layers 2 and 3 are)."""
    names = {"t": "theta", "p": "phi", "g": "g", "z": "out", "norm": "bn"}
    inside = r"(\.se|layer[23]\.\d+)\.([tpgz]|norm)\."
    return squeezed(re.sub(inside, lambda found: f"{found[1]}.{names[found[2]]}.", key))


def preactivated(key: str) -> str:
    """timm's ResNetV2."""
    key = re.sub(r"stages\.(\d)\.blocks", lambda found: f"layer{int(found[1]) + 1}", key)
    key = re.sub(r"^norm\.", "last_norm.", re.sub(r"\.norm(\d)", r".bn\1", key))
    return key.replace("stem.conv", "conv1").replace("downsample.conv", "downsample.0").replace("head.fc", "fc")


def resnet_with(attention: Callable[..., nn.Module], layers: int = 50) -> nn.Module:
    return timm.create_model(f"resnet{layers}", block_args={"attn_layer": attention})


def gc_resnet(layers: int) -> nn.Module:
    """timm's context is in every block; GCNet's from the second stage on."""
    model = resnet_with(partial(GlobalContext, fuse_add=True, fuse_scale=False, rd_ratio=1 / 16), layers)
    for block in model.get_submodule("layer1").children():
        block.se = None  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    return model


def nl_resnet(layers: int) -> nn.Module:
    """timm's non-local blocks after every other block of its ResNet's stages 2 and 3 (Wang et al. 2018, 5.1)."""
    model = timm.create_model(f"resnet{layers}")
    for name, channels in (("layer2", 512), ("layer3", 1024)):
        stage = []
        for index, block in enumerate(model.get_submodule(name).children()):
            stage += [block, *([NonLocalAttn(channels, use_scale=False, rd_ratio=1 / 2)] if index % 2 else [])]
        setattr(model, name, nn.Sequential(*stage))
    return model


def model_of_timm(name: str) -> Callable[[], nn.Module]:
    return partial(timm.create_model, name)


TWINS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], Callable[[str], str]]] = {
    "se_resnet50": (model_of_timm("seresnet50"), {}, squeezed),
    "se_resnet101": (model_of_timm("seresnet101"), {}, squeezed),
    "se_resnet152": (model_of_timm("seresnet152"), {}, squeezed),
    "se_resnext50_32x4d": (model_of_timm("seresnext50_32x4d"), {}, squeezed),
    "se_resnext101_32x4d": (model_of_timm("seresnext101_32x4d"), {}, squeezed),
    "gc_resnet50": (partial(gc_resnet, 50), {}, context),
    "gc_resnet101": (partial(gc_resnet, 101), {}, context),
    "nl_resnet50": (partial(nl_resnet, 50), {"sub_sample": False}, non_local),
    "nl_resnet101": (partial(nl_resnet, 101), {"sub_sample": False}, non_local),
    "resnet50": (
        partial(resnet_with, partial(NonLocalAttn, use_scale=False)),
        {"attention": "non_local", "attention_reduction": 8},
        non_local,
    ),
    "preact_resnet18": (model_of_timm("resnetv2_18"), {}, preactivated),
    "preact_resnet34": (model_of_timm("resnetv2_34"), {}, preactivated),
    "preact_resnet50": (model_of_timm("resnetv2_50"), {}, preactivated),
    "preact_resnet101": (model_of_timm("resnetv2_101"), {}, preactivated),
    "preact_resnet152": (model_of_timm("resnetv2_152"), {}, preactivated),
}


@pytest.mark.parametrize("name", TWINS)
def test_logits_equal_timms_with_its_state_dict(name: str) -> None:
    make, knobs, rename = TWINS[name]
    with torch.device("meta"):
        reference = make().eval()
    ours = models.build(name, device="meta", **knobs)
    state = filled(reference.state_dict())
    reference.load_state_dict(state, strict=True, assign=True)
    shapes = {key: value.shape for key, value in ours.state_dict().items()}  # timm's classifier may be a convolution
    renamed = {rename(key): value for key, value in state.items()}
    ours.load_state_dict({key: value.view(shapes[key]) for key, value in renamed.items()}, strict=True, assign=True)
    pictures = torch.randn(2, 3, PX, PX)
    with torch.inference_mode():
        expected, actual = reference(pictures), ours(pictures)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()  # the logits depend on the picture
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_partial_preactivation_projects_the_raw_input() -> None:
    """Full: timm's, above. Partial: only the shortcut changes, and only in the blocks where it projects."""
    full = models.build("preact_resnet_mini")
    half = models.build("preact_resnet_mini", full_preactivation=False)
    half.load_state_dict(full.state_dict())
    block, other = full.get_submodule("layer2.0"), half.get_submodule("layer2.0")
    x = torch.randn(1, 16, 8, 8)
    with torch.inference_mode():
        projection = block.get_submodule("downsample")
        activated = nn.functional.relu(block.get_submodule("bn1")(x))
        assert torch.allclose(block(x) - other(x), projection(activated) - projection(x), atol=1e-5)
        identity = "layer4.1"
        x = torch.randn(1, 96, 4, 4)
        assert torch.equal(full.get_submodule(identity)(x), half.get_submodule(identity)(x))


@pytest.mark.parametrize("preset", ["nlnet_mini", "gcnet_mini"])
def test_added_attention_starts_as_the_identity(preset: str) -> None:
    model = models.build(preset)
    attended = [layer for layer in model.modules() if type(layer).__name__ in ("NonLocal", "GlobalContext")]
    assert attended
    for layer in attended:
        channels = layer.get_submodule("bn" if hasattr(layer, "bn") else "fc2").get_parameter("bias").numel()
        x = torch.randn(2, channels, 4, 4)
        assert torch.equal(layer(x), x)


def test_groups_on_basic_blocks_are_refused_with_the_reason() -> None:
    with pytest.raises(models.SpecError, match=r"groups=32, block='basic': groups are defined for bottlenecks only"):
        models.spec("resnext50_32x4d", block="basic")


def test_drop_path_grows_over_the_blocks() -> None:
    model = models.build("resnet50", device="meta", drop_path=0.45)
    chances = [layer.drop for layer in model.modules() if type(layer).__name__ == "StochasticDepth"]
    assert chances == pytest.approx([0.03 * block for block in range(1, 16)])
