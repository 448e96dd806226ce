"""Every architecture and every block that the explorer sets out to cover, row by row, against the registry."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torchvision

import explorer
import models
from explorer.graph.layers import Layer
from models.blocks.attention import GlobalContext, NonLocal, SqueezeExcitation

# What a row gives: parameters exactly, or in millions as a paper rounds them; None where it gives none.
Figure = int | float | None


@dataclass(frozen=True)
class Row:
    """A family: its architectures, the presets and their parameters, and what else must be a knob, with a value."""

    architectures: tuple[str, ...]
    presets: dict[str, Figure]
    knobs: tuple[tuple[str, dict[str, Any]], ...] = ()


def regnets() -> dict[str, Figure]:
    """Every size that torchvision has."""
    return {name: None for name in torchvision.models.list_models() if name.startswith("regnet")}


FAMILIES: dict[str, Row] = {
    "LeNet-5": Row(("lenet",), {"lenet5": 61_706}, (("lenet5", {"image_size": 28, "paddings": (2, 0)}),)),
    "AlexNet": Row(("alexnet",), {"alexnet": 61_100_840, "alexnet_2012": None}),
    "ZFNet": Row(("zfnet",), {"zfnet": None, "zfnet_wide": None}),
    "VGG": Row(
        ("vgg",),
        {"vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240,
         "vgg11_bn": None, "vgg13_bn": None, "vgg16_bn": None, "vgg19_bn": None},
    ),
    "NiN": Row(("nin",), {"nin": None}),
    "GoogLeNet": Row(
        ("googlenet",), {"googlenet": 13_004_888, "googlenet_2014": None}, (("googlenet", {"aux_heads": False}),)
    ),
    "BN-Inception": Row(("inception_v2",), {"inception_v2": None}),
    "Inception v3": Row(("inception_v3",), {"inception_v3": 27_161_264}, (("inception_v3", {"aux_head": False}),)),
    "Inception v4, Inception-ResNet": Row(
        ("inception_v4", "inception_resnet_v2"), {"inception_v4": None, "inception_resnet_v2": None}
    ),
    "ResNet v1": Row(
        ("resnet",),
        {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
         "resnet152": 60_192_808, "wide_resnet50_2": None, "wide_resnet101_2": None},
    ),
    "ResNet v2": Row(
        ("preact_resnet",),
        {f"preact_resnet{layers}": None for layers in (18, 34, 50, 101, 152)},
        tuple(("preact_resnet50", {"full_preactivation": full}) for full in (True, False)),
    ),
    "ResNeXt": Row(
        ("resnext",),
        {"resnext50_32x4d": 25_028_904, "resnext101_32x8d": None, "resnext101_64x4d": None,
         "preact_resnext50_32x4d": None, "preact_resnext101_32x8d": None, "preact_resnext101_64x4d": None},
    ),
    "SENet": Row(
        ("senet",),
        {"se_resnet50": 28.1},  # 10 % more than ResNet-50
        tuple((name, {"attention": "se"}) for name in ("resnet50", "preact_resnet50", "resnext50_32x4d")),
    ),
    "NLNet": Row(("nlnet",), {"nl_resnet50": None}, (("resnet50", {"attention": "non_local"}),)),
    "GCNet": Row(("gcnet",), {"gc_resnet50": None}, (("resnet50", {"attention": "global_context"}),)),
    "DenseNet": Row(
        ("densenet",),
        {"densenet121": 7_978_856, "densenet161": 28_681_000, "densenet169": 14_149_480, "densenet201": 20_013_928},
        (("densenet121", {"bottleneck": False}), ("densenet121", {"compression": 1.0})),
    ),
    "SqueezeNet": Row(("squeezenet",), {"squeezenet1_0": 1_248_424, "squeezenet1_1": 1_235_496}),
    "MobileNet v1": Row(
        ("mobilenet_v1",), {"mobilenet_v1": 4_231_976}, (("mobilenet_v1", {"width_multiplier": 0.5}),)
    ),
    "MobileNet v2": Row(("mobilenet_v2",), {"mobilenet_v2": 3_504_872}),
    "MobileNet v3": Row(("mobilenet_v3",), {"mobilenet_v3_small": 2_542_856, "mobilenet_v3_large": 5_483_032}),
    "ShuffleNet v1 and v2": Row(
        ("shufflenet_v1", "shufflenet_v2"),
        {"shufflenet_v1": None, "shufflenet_v2_x0_5": None, "shufflenet_v2_x1_0": 2_278_604,
         "shufflenet_v2_x1_5": None, "shufflenet_v2_x2_0": None},
        (("shufflenet_v1", {"groups": 3}),),
    ),
    "EfficientNet": Row(
        ("efficientnet",), {f"efficientnet_b{size}": 5_288_548 if size == 0 else None for size in range(8)}
    ),
    "EfficientNet v2": Row(
        ("efficientnet_v2",),
        {"efficientnet_v2_s": 21_458_488, "efficientnet_v2_m": 54_139_356, "efficientnet_v2_l": 118_515_272},
    ),
    "RegNet and AnyNet": Row(
        ("regnet", "anynet"),
        regnets(),
        (("regnet_x_400mf", {"w0": 32, "wa": 30.0, "wm": 2.2, "depth": 20, "group_width": 8}),
         ("regnet_y_400mf", {"se_ratio": 0.5})),
    ),
    "ConvMixer": Row(
        ("convmixer",), {"convmixer_768_32": 21.1, "convmixer_1536_20": 51.6, "convmixer_1024_20": 24.4}
    ),
    "ConvNeXt": Row(
        ("convnext",),
        {"convnext_tiny": 28_589_128, "convnext_small": 50_223_688, "convnext_base": 88_591_464,
         "convnext_large": 197_767_336},
    ),
    "MnasNet, ViT": Row(
        ("mnasnet", "vit"), {"mnasnet1_0": None, "vit_ti_16": None, "vit_s_16": None, "vit_b_16": None}
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A block: its name in the registry and the values of its knobs that make the variant."""

    name: str
    knobs: dict[str, Any] = field(default_factory=dict)


PROJECTION = {"in_channels": 64, "width": 128, "stride": 2, "shortcut": "projection"}

BLOCKS: dict[str, tuple[Part, ...]] = {
    "conv-norm-act": (Part("conv_norm_act"),),
    "VGG": (Part("vgg"),),
    "NiN": (Part("nin"),),
    "Inception v1": (Part("inception"),),
    "Inception v2": (Part("inception_v2"),),
    "Inception v3 A, B, C, reductions D, E": tuple(Part(f"inception_{letter}") for letter in "abcde"),
    "residual basic": (Part("residual_basic"), Part("residual_basic", PROJECTION)),
    "residual bottleneck": (Part("residual_bottleneck"), Part("residual_bottleneck", PROJECTION)),
    "wide": (Part("residual_wide"),),
    "pre-activation basic, full and partial": tuple(
        Part("preact_basic", {"full_preactivation": full}) for full in (True, False)
    ),
    "pre-activation bottleneck, full and partial": tuple(
        Part("preact_bottleneck", {"full_preactivation": full}) for full in (True, False)
    ),
    "ResNeXt, post- and pre-activation": (Part("resnext"), Part("resnext_preact")),
    "dense layer, block, transition": (Part("dense_layer"), Part("dense_block"), Part("transition")),
    "fire": (Part("fire"),),
    "depthwise separable": (Part("depthwise_separable"),),
    "linear bottleneck": (Part("linear_bottleneck"),),
    "inverted residual, with and without the skip rule": tuple(
        Part("inverted_residual", {"skip": skip}) for skip in (True, False)
    ),
    "MBConv": (Part("mbconv"),),
    "Fused-MBConv": (Part("fused_mbconv"),),
    "shuffle unit v1, v2": (Part("shuffle_unit_v1"), Part("shuffle_unit_v2")),
    "squeeze-excitation": (Part("squeeze_excitation"),),
    "non-local": (Part("non_local"),),
    "global context": (Part("global_context"),),
    "ConvMixer": (Part("convmixer"),),
    "ConvNeXt": (Part("convnext"),),
    "RegNet X/Y": (Part("regnet_x"), Part("regnet_y")),
    "residual add, with and without a projection": (Part("residual_add"), Part("residual_add", PROJECTION)),
    "position-wise LayerNorm over channels": (Part("conv_norm_act", {"norm": "channel_layer"}),),
}


def params(name: str, **knobs: Any) -> int:
    module = models.build(name, device="meta", unchecked=True, **knobs)
    return sum(parameter.numel() for parameter in module.parameters())


def layers(name: str, **knobs: Any) -> tuple[str, tuple[Layer, ...]]:
    """The modules and in what order they run."""
    spec: Any = models.spec(name, **knobs)
    module = models.build(spec, device="meta")
    return str(module), explorer.analyze(module, (spec.in_channels, spec.image_size, spec.image_size)).graph.layers


@pytest.mark.parametrize("row", FAMILIES)
def test_a_family_of_the_field_is_registered_with_its_presets_figures_and_knobs(row: str) -> None:
    wanted = FAMILIES[row]
    known = {architecture.name: architecture for architecture in models.architectures()}
    presets = {name for family in wanted.architectures for name in known[family].presets}
    assert set(wanted.presets) <= presets
    for name, figure in wanted.presets.items():
        if isinstance(figure, float):
            assert round(params(name) / 1e6, 1) == figure
        elif figure is not None:
            assert params(name) == figure
    for name, knobs in wanted.knobs:
        is_own = all(getattr(models.spec(name), knob) == value for knob, value in knobs.items())
        assert (layers(name, **knobs) == layers(name)) == is_own, "the knob does not change what is built"


@pytest.mark.parametrize(
    ("name", "knob", "figure"), [("googlenet", "aux_heads", 6_624_904), ("inception_v3", "aux_head", 23_834_568)]
)
def test_without_the_heads_that_only_training_reads_as_many_parameters_are_left(
    name: str, knob: str, figure: int
) -> None:
    assert params(name, **{knob: False}) == figure


ATTENTION = ("none", "se", "non_local", "global_context")
PLAIN = ("lenet", "alexnet", "zfnet", "vgg", "nin")  # layers in a row: no residual, dense or mobile block
BRANCHES = ("googlenet", "inception_v2", "inception_v3", "inception_v4", "squeezenet")  # side by side, none added
OTHER_CHOICES = ("anynet",)  # "own" too: its blocks may keep the attention of their papers
SELF_ATTENTION = ("vit",)  # no convolution whose maps could be weighed
RESIDUAL_DENSE_AND_MOBILE = [
    family for family in models.architectures()
    if family.name not in PLAIN + BRANCHES + OTHER_CHOICES + SELF_ATTENTION
]  # fmt: skip


@pytest.mark.parametrize("family", RESIDUAL_DENSE_AND_MOBILE, ids=lambda family: family.name)
def test_attention_is_one_knob_on_every_residual_dense_and_mobile_family(family: models.Architecture) -> None:
    assert family.spec.knobs()["attention"].choices == ATTENTION
    (preset, *_) = (preset.spec for preset in family.presets.values() if preset.compact)
    modules = {kind: models.build(preset, attention=kind, device="meta") for kind in ATTENTION}
    parts = {kind: Counter(type(part) for part in module.modules()) for kind, module in modules.items()}
    for kind, part in {"se": SqueezeExcitation, "non_local": NonLocal, "global_context": GlobalContext}.items():
        assert parts[kind][part] > parts["none"][part]  # of a non-local network's own blocks there are some


def test_anynet_has_the_same_attention_and_may_leave_each_block_its_own() -> None:
    assert models.spec("anynet_mini").knobs()["attention"].choices == ("own", *ATTENTION)


@pytest.mark.parametrize("row", BLOCKS)
def test_a_block_of_the_field_is_registered_and_its_variants_run_alone(row: str) -> None:
    for part in BLOCKS[row]:
        block = models.block(part.name)
        spec = block.spec().replace(**part.knobs)
        channels: int = spec.in_channels  # type: ignore[attr-defined]
        module = models.build(spec, device="meta")
        assert module(torch.empty(1, channels, *block.input_size[1:], device="meta")).dim() == 4
        assert all(getattr(spec, knob) == value for knob, value in part.knobs.items())
        assert block.summary
        assert block.paper.title
        assert re.search(r"figure|equation|\beq\.|section|table", block.spec.__doc__ or "", re.IGNORECASE)
