"""What is it? Files of torchvision's and timm's networks, as people change them, are told by names and shapes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision.models as tv
from torch import nn

import models
from models.weights.fit import fit
from models.weights.kept import Shapes, shapes_of
from models.weights.recognise import adapted, buildable, candidates
from models.weights.search_knobs import depths_read_off


def of(make: Callable[..., nn.Module], *changes: Callable[[Any], None], **options: Any) -> Shapes:
    with torch.device("meta"):
        model = make(**options)
        for change in changes:
            change(model)
    return shapes_of(model)


def gray(model: tv.ResNet) -> None:
    model.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)


def renamed(held: Shapes, *rules: tuple[str, Any]) -> dict[str, tuple[int, ...]]:
    for pattern, replacement in rules:
        held = {re.sub(pattern, replacement, name): shape for name, shape in held.items()}
    return dict(held)


OLD_DENSENET = (r"(denselayer\d+\.(?:norm|relu|conv))([12])\.", r"\1.\2.")
OLD_VIT = (r"\.mlp\.([03])\.", lambda found: f".mlp.linear_{1 + int(found[1]) // 3}.")
CASES: dict[str, tuple[Callable[[], Shapes], str, dict[str, Any]]] = {
    "classes": (lambda: of(tv.resnet18, num_classes=5), "resnet18", {"num_classes": 5}),
    "gray": (lambda: of(tv.resnet18, gray, num_classes=5), "resnet18", {"num_classes": 5, "in_channels": 1}),
    "prefix": (lambda: renamed(of(tv.resnet34), ("^", "module.model.")), "resnet34", {}),
    "within another": (lambda: renamed(of(tv.resnet34), ("^", "encoder.")) | {"head.weight": (9, 512)}, "resnet34", {}),
    "no auxiliary heads": (
        lambda: of(tv.googlenet, aux_logits=False, num_classes=7, init_weights=False), "googlenet",
        {"num_classes": 7, "aux_heads": False},
    ),
    "no auxiliary head": (
        lambda: of(tv.inception_v3, aux_logits=False, init_weights=False), "inception_v3", {"aux_head": False}
    ),
    "a head that is a convolution": (lambda: of(tv.squeezenet1_1, num_classes=4), "squeezenet1_1", {"num_classes": 4}),
    "another size": (
        lambda: of(tv.vit_b_16, image_size=384, num_classes=3), "vit_b_16", {"num_classes": 3, "image_size": 384}
    ),
    "old ViT": (lambda: renamed(of(tv.vit_b_16), OLD_VIT), "vit_b_16", {}),
    "wrapped features": (lambda: renamed(of(tv.vgg11), (r"^features\.", "features.module.")), "vgg11", {}),
    "old DenseNet": (
        lambda: renamed(of(tv.densenet121, num_classes=4), OLD_DENSENET, ("^", "module.")), "densenet121",
        {"num_classes": 4},
    ),
    "timm's ViT": (
        lambda: of(timm.create_model, model_name="vit_tiny_patch16_224", num_classes=9), "vit_ti_16", {"num_classes": 9}
    ),
    "timm's ResNet": (lambda: of(timm.create_model, model_name="resnet50"), "resnet50", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_network_of_a_file_is_recognised_with_its_knobs(case: str) -> None:
    make, name, knobs = CASES[case]
    best = candidates(make())[0]
    assert (best.name, best.knobs) == (name, knobs)
    assert best.fit.is_whole


CHANGED: dict[str, tuple[Callable[[], Shapes], str, dict[str, Any]]] = {
    "depths": (
        lambda: of(tv.ResNet, block=tv.resnet.Bottleneck, layers=[3, 8, 23, 3]), "resnet101", {"depths": (3, 8, 23, 3)}
    ),
    "a wide one": (
        lambda: of(tv.ResNet, block=tv.resnet.Bottleneck, layers=[2, 3, 4, 2], width_per_group=128, num_classes=5),
        "wide_resnet50_2", {"depths": (2, 3, 4, 2), "num_classes": 5},
    ),
    "VGG": (
        lambda: of(tv.VGG, features=tv.vgg.make_layers(
            [64, "M", 128, 128, "M", 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, "M"], batch_norm=True,
        ), num_classes=7, init_weights=False), "vgg13_bn", {"depths": (1, 2, 2, 4, 2), "num_classes": 7},
    ),
    "a narrow VGG": (
        lambda: of(tv.VGG, features=tv.vgg.make_layers(
            [32, 32, "M", 64, 64, "M", 128, 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M"],
        ), init_weights=False), "vgg16", {"widths": (32, 64, 128, 256, 512)},
    ),
    "VGG, both": (
        lambda: of(tv.VGG, features=tv.vgg.make_layers(
            [48, "M", 96, 96, "M", 192, 192, 192, "M", 384, 384, 384, "M", 512, 512, "M"]
        ), init_weights=False), "vgg13", {"depths": (1, 2, 3, 3, 2), "widths": (48, 96, 192, 384, 512)},
    ),
    "VGG with norms, both": (
        lambda: of(tv.VGG, features=tv.vgg.make_layers(
            [96] * 4 + ["M"] + [192] * 3 + ["M"] + [192] * 4 + ["M"] + [256] * 3 + ["M"] + [512, "M"], batch_norm=True
        ), num_classes=9, init_weights=False), "vgg19_bn",
        {"depths": (4, 3, 4, 3, 1), "widths": (96, 192, 192, 256, 512), "num_classes": 9},
    ),
    "DenseNet": (
        lambda: of(tv.DenseNet, growth_rate=24, block_config=(4, 8, 12, 10), num_classes=11), "densenet121",
        {"growth": 24, "depths": (4, 8, 12, 10), "num_classes": 11},
    ),
    "MobileNetV2": (
        lambda: of(tv.mobilenet_v2, width_mult=0.35, num_classes=3), "mobilenet_v2",
        {"width_multiplier": 0.35, "num_classes": 3},
    ),
    "ViT": (
        lambda: of(tv.VisionTransformer, image_size=224, patch_size=16, num_layers=6, num_heads=12, hidden_dim=768,
                   mlp_dim=1536), "vit_b_16", {"depth": 6, "mlp_width": 1536},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGED)
def test_depths_and_widths_of_ones_own_are_found(case: str) -> None:
    make, name, knobs = CHANGED[case]
    held = make()
    best = candidates(held)[0]
    assert best.fit.is_whole
    assert (best.name, best.knobs) == (name, knobs)
    assert buildable(name).shapes(best.knobs) == held


def test_depths_in_nested_stages_are_found() -> None:
    stages = models.spec("efficientnet_b0").stages  # pyright: ignore[reportAttributeAccessIssue]
    deeper = tuple(stage.replace(depth=stage.depth + place % 2) for place, stage in enumerate(stages))
    held = buildable("efficientnet_b0").shapes({"stages": deeper})
    best = candidates(held)[0]
    assert (best.name, best.knobs) == ("efficientnet_b0", {"stages": deeper})


def test_every_preset_recognises_itself() -> None:
    for name in ("lenet5", "zfnet_mini", "alexnet", "shufflenet_v2_x1_0", "regnet_y_400mf", "convnext_tiny"):
        best = candidates(buildable(name).shapes({"num_classes": 12, "in_channels": 1}))[0]
        assert (best.name, best.fit.is_whole) == (name, True)


@pytest.mark.parametrize("held", [{}, {"a.b": (3,)}, {"x": ()}, {f"{i}.{i}": (i,) for i in range(5000)}])
def test_of_what_is_no_network_nothing_is_told(held: Shapes) -> None:
    assert candidates(held) == []


def test_knobs_that_a_person_set_stay() -> None:
    held = of(tv.resnet18, num_classes=5)
    found = adapted(held, buildable("resnet18"), {"num_classes": 7}, fixed=["num_classes"])
    assert found.knobs == {"num_classes": 7}
    assert found.fit.reshaped == ("fc.weight", "fc.bias")


def test_tensors_of_another_head_are_named_on_both_sides() -> None:
    held = renamed(of(tv.resnet18, num_classes=5), (r"^fc\.", "fc.1."))
    found = adapted(held, buildable("resnet18")).fit
    assert found.missing == ("fc.weight", "fc.bias")
    assert found.unused == ("fc.1.weight", "fc.1.bias")
    assert (found.kept.new, found.kept.left) == (("fc",), ("fc.1.bias", "fc.1.weight"))


WANTED = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "fc.weight": (2, 4)}


def test_of_two_copies_the_averaged_one_is_taken() -> None:
    held = {f"{part}.net.{name}": shape for part in ("online", "ema") for name, shape in WANTED.items()}
    found = fit(held, WANTED)
    assert (found.prefix, found.is_whole) == ("ema.net.", True)


def test_counters_that_tools_leave_behind_are_passed_over() -> None:
    found = fit({**WANTED, "n_averaged": (), "total_ops": (1,), "conv.total_params": (1,)}, WANTED)
    assert found.is_whole
    assert found.unused == ()


def test_names_with_thousands_of_dots_take_no_time() -> None:
    found = fit({f"{'a.' * 5000}{i}": (1,) for i in range(200)}, WANTED)
    assert found.names == {}


def test_a_number_of_thousands_of_digits_in_a_name_is_none() -> None:
    held = dict(shapes_of(models.build("vgg11", device="meta", depths=(1, 2, 2, 2, 2))))
    assert candidates({f"features.{'9' * 5000}.weight": (8, 3, 3, 3), **held})


def test_depths_that_no_network_has_are_not_read_off() -> None:
    held = {f"features.{2 * n + n // 65}.weight": (8, 8, 3, 3) for n in range(5 * 65)}
    own = buildable("vgg16").depths_and_widths
    wanted = shapes_of(models.build("vgg16", device="meta"))
    assert [*depths_read_off(fit(held, wanted), own)] == []
    fewer = {f"features.{2 * n + n // 9}.weight": (8, 8, 3, 3) for n in range(5 * 9)}
    assert [*depths_read_off(fit(fewer, wanted), own)] == [("depths", (9,) * 5)]


def test_a_file_of_as_many_tensors_as_are_read_is_recognised_as_nothing() -> None:
    held = {f"{'layer.' * (i % 9)}{i}.weight": (i,) for i in range(20_000)}
    assert candidates(held) == []
