"""Parameter counts against the papers, by the arithmetic of their tables; sizes of maps and work."""

from __future__ import annotations

from itertools import pairwise

import pytest
from torch import nn

import models
from tests.oracles.meta_training import image, layers, macs

TORCHVISION = {name: other for name in models.presets() if (other := models.preset(name).torchvision)}


def by_hand(convolutions: str, linear: tuple[int, ...]) -> int:
    """Weights and biases of convolutions, "in>out kernel groups, …", and of linear layers, as a paper gives them."""
    total = sum((features + 1) * classes for features, classes in pairwise(linear))
    for layer in convolutions.split(","):
        channels, kernel, groups = layer.split()
        before, after = map(int, channels.split(">"))
        total += (before // int(groups) * int(kernel) ** 2 + 1) * after
    return total


def googlenet() -> int:
    """Table 1 of Szegedy et al. 2014 with biases, and the two auxiliary heads of its section 5, after 4a and 4d."""
    rows = (
        (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128), (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
    )  # fmt: skip
    total, channels = by_hand("3>64 7 1, 64>64 1 1, 64>192 3 1", (1024, 1000)), 192
    for one, reduce3, three, reduce5, five, project in rows:
        reads = "".join(f"{channels}>{width} 1 1, " for width in (one, reduce3, reduce5, project))
        total += by_hand(f"{reads}{reduce3}>{three} 3 1, {reduce5}>{five} 5 1", ())
        channels = one + three + five + project
    return total + sum(by_hand(f"{width}>128 1 1", (128 * 4 * 4, 1024, 1000)) for width in (512, 528))


def bn_inception() -> int:
    """Figure 5 of Ioffe & Szegedy 2015, each convolution with a batch norm (2 per channel) and no bias."""
    rows = (
        (64, 64, 64, 64, 96, 32), (64, 64, 96, 64, 96, 64), (0, 128, 160, 64, 96, 0), (224, 64, 96, 96, 128, 128),
        (192, 96, 128, 96, 128, 128), (160, 128, 160, 128, 160, 96), (96, 128, 192, 160, 192, 96),
        (0, 128, 192, 192, 256, 0), (352, 192, 320, 160, 224, 128), (352, 192, 320, 192, 224, 128),
    )  # fmt: skip
    convolutions, channels = [(3, 64, 49), (64, 64, 1), (64, 192, 9)], 192
    for one, reduce, three, reduce_double, double, project in rows:
        convolutions += [(channels, one, 1), (channels, reduce, 1), (reduce, three, 9), (channels, reduce_double, 1)]
        convolutions += [(reduce_double, double, 9), (double, double, 9), (channels, project, 1)]
        channels = one + three + double + (project or channels)
    return sum(before * after * area + 2 * after for before, after, area in convolutions) + 1025 * 1000


def convmixer(width: int, depth: int, kernel: int, patch: int) -> int:
    """Patches, `depth` times a depthwise and a 1×1 convolution, a batch norm after each; 1000 classes."""
    block = (kernel**2 + 1) * width + 2 * width + (width + 1) * width + 2 * width
    return (3 * patch**2 + 1) * width + 2 * width + depth * block + (width + 1) * 1000


LAYERS_1_AND_2 = "3>96 7 1, 96>256 5 1"


def shuffle_v1(groups: int, width: int) -> int:
    """Table 1: 24 channels, 4, 8 and 4 units of `width`, doubled twice, 1×1 convolutions in groups, batch norms."""
    total, before = 3 * 24 * 9 + 2 * 24 + (4 * width + 1) * 1000, 24
    for number, units in enumerate((4, 8, 4)):
        for unit in range(units):
            inner = width // 4
            made = width if unit else width - before  # the first unit's pooled input makes up the rest
            total += before * inner // (groups if number + unit else 1) + 9 * inner + inner * made // groups
            total += 2 * (inner + inner + made)
            before = width
        width *= 2
    return total


BOTTLENECKS = {  # of ResNet-50, -101 and -152: channels that leave a block, and how many blocks of them there are
    50: {256: 3, 512: 4, 1024: 6, 2048: 3},
    101: {256: 3, 512: 4, 1024: 23, 2048: 3},
    152: {256: 3, 512: 8, 1024: 36, 2048: 3},
}


def se_params(layers: int) -> int:
    """Two linear layers per block, C → C/16 → C."""
    return sum(blocks * (2 * c * c // 16 + c // 16 + c) for c, blocks in BOTTLENECKS[layers].items())


def gc_params(layers: int) -> int:
    """From the second stage on: the map's convolution, C → C/16 → C and its LayerNorm."""
    blocks = {c: count for c, count in BOTTLENECKS[layers].items() if c > 256}
    return sum(count * (c + 1 + 2 * c * c // 16 + c // 16 + c + 2 * c // 16) for c, count in blocks.items())


def nl_params(layers: int) -> int:
    """After every other block of stages 2 and 3: θ, φ, g and W between C and C/2, and W's norm."""
    blocks = {c: BOTTLENECKS[layers][c] // 2 for c in (512, 1024)}
    return sum(count * (4 * c * c // 2 + 3 * c // 2 + c + 2 * c) for c, count in blocks.items())


# v2 ends with the last norm of v1's last block, but its shortcuts have none.
BASIC_SHORTCUTS, SHORTCUTS = 2 * (128 + 256 + 512), 2 * (256 + 512 + 1024 + 2048)

PARAMS = {
    "lenet5": 61_706,  # LeCun et al. 1998, figure 2, C3 reading all maps: 156 + 2,416 + 48,120 + 10,164 + 850
    "alexnet": 61_100_840,  # from here on, where nothing else is said: torchvision
    "alexnet_2012": by_hand(
        "3>96 11 1, 96>256 5 2, 256>384 3 1, 384>384 3 2, 384>256 3 2", (256 * 36, 4096, 4096, 1000)
    ),
    "zfnet": by_hand(f"{LAYERS_1_AND_2}, 256>384 3 1, 384>384 3 1, 384>256 3 1", (256 * 36, 4096, 4096, 1000)),
    "zfnet_wide": by_hand(f"{LAYERS_1_AND_2}, 256>512 3 1, 512>1024 3 1, 1024>512 3 1", (512 * 36, 4096, 4096, 1000)),
    "nin": by_hand(
        "3>96 11 1, 96>96 1 1, 96>96 1 1, 96>256 5 1, 256>256 1 1, 256>256 1 1, 256>384 3 1, 384>384 1 1, "
        "384>384 1 1, 384>1024 3 1, 1024>1024 1 1, 1024>1000 1 1",
        (),
    ),
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "googlenet": 13_004_888,
    "googlenet_2014": googlenet(),
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "preact_resnet18": 11_689_512 - BASIC_SHORTCUTS,
    "preact_resnet34": 21_797_672 - BASIC_SHORTCUTS,
    "preact_resnet50": 25_557_032 - SHORTCUTS,
    "preact_resnet101": 44_549_160 - SHORTCUTS,
    "preact_resnet152": 60_192_808 - SHORTCUTS,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "preact_resnext50_32x4d": 25_028_904 - SHORTCUTS,
    "preact_resnext101_32x8d": 88_791_336 - SHORTCUTS,
    "preact_resnext101_64x4d": 83_455_272 - SHORTCUTS,
    "se_resnet50": 25_557_032 + se_params(50),
    "se_resnet101": 44_549_160 + se_params(101),
    "se_resnet152": 60_192_808 + se_params(152),
    "se_resnext50_32x4d": 25_028_904 + se_params(50),
    "se_resnext101_32x4d": 48_955_416,  # timm
    "nl_resnet50": 25_557_032 + nl_params(50),
    "nl_resnet101": 44_549_160 + nl_params(101),
    "gc_resnet50": 25_557_032 + gc_params(50),  # 28.08 M
    "gc_resnet101": 44_549_160 + gc_params(101),
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_large": 5_483_032,
    "mnasnet0_5": 2_218_512,
    "mnasnet0_75": 3_170_208,
    "mnasnet1_0": 4_383_312,
    "mnasnet1_3": 6_282_256,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "shufflenet_v2_x1_5": 3_503_624,
    "shufflenet_v2_x2_0": 7_393_996,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
    "efficientnet_v2_s": 21_458_488,
    "efficientnet_v2_m": 54_139_356,
    "efficientnet_v2_l": 118_515_272,
    "shufflenet_v1": shuffle_v1(3, 240),
    "mobilenet_v1": 4_231_976,  # and timm's mobilenetv1_100
    "convnext_tiny": 28_589_128,
    "convnext_small": 50_223_688,
    "convnext_base": 88_591_464,
    "convnext_large": 197_767_336,
    "regnet_x_16gf": 54_278_536,
    "regnet_x_1_6gf": 9_190_136,
    "regnet_x_32gf": 107_811_560,
    "regnet_x_3_2gf": 15_296_552,
    "regnet_x_400mf": 5_495_976,
    "regnet_x_800mf": 7_259_656,
    "regnet_x_8gf": 39_572_648,
    "regnet_y_128gf": 644_812_894,
    "regnet_y_16gf": 83_590_140,
    "regnet_y_1_6gf": 11_202_430,
    "regnet_y_32gf": 145_046_770,
    "regnet_y_3_2gf": 19_436_338,
    "regnet_y_400mf": 4_344_144,
    "regnet_y_800mf": 6_432_512,
    "regnet_y_8gf": 39_381_472,
    "convmixer_768_32": convmixer(768, 32, 7, 7),
    "convmixer_1024_20": convmixer(1024, 20, 9, 14),
    "convmixer_1536_20": convmixer(1536, 20, 9, 7),
    "anynet_x_400mf": 5_495_976,
    "anynet_resnet18": 11_689_512,
    "inception_v3": 27_161_264,
    "vit_ti_16": 5_717_416,
    "vit_s_16": 22_050_664,
    "vit_b_16": 86_567_656,
    "inception_v4": 42_679_816,
    "inception_resnet_v2": 55_843_464,
    "inception_v2": bn_inception(),
}
COMPACT_PARAMS, COMPACT_MACS = 500_000, 20_000_000


@pytest.mark.parametrize("name", models.presets())
def test_parameter_count_is_the_published_one(name: str) -> None:
    params = sum(parameter.numel() for parameter in models.build(name, device="meta").parameters())
    if models.preset(name).compact:
        assert params <= COMPACT_PARAMS
    else:
        assert params == PARAMS[name]


@pytest.mark.parametrize("name", [name for name in models.presets() if models.preset(name).compact])
def test_compact_presets_take_little_work(name: str) -> None:
    spec = models.spec(name)
    assert (spec.image_size, spec.num_classes) == (64, 12)
    assert macs(models.build(name, device="meta"), spec) <= COMPACT_MACS


def test_zfnet_maps_have_the_sizes_of_the_papers_figure_3() -> None:
    model, sides = models.build("zfnet", device="meta"), []
    for _, layer in layers(model):
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            layer.register_forward_hook(lambda _, __, output: sides.append(output.shape[-1]))
    model(image(models.spec("zfnet"), 1))
    assert sides == [110, 55, 26, 13, 13, 13, 13, 6]
