"""Layers that have outgrown the image: by hand, and by changing image and strides as is advised."""

from __future__ import annotations

import pytest
from torch import nn

import models
from explorer.analysis.structure import analyze
from explorer.analysis.unproductive import downsamplings, outgrown_image, smallest_fields
from tests.support.preset_sizes import input_size


def test_vgg_16_on_small_images_by_hand() -> None:
    """Fields after each layer are known (Araujo et al. 2019); behind the first of 32 px or more nothing is new."""
    analysis = analyze(models.build("vgg16", device="meta").eval(), (3, 32, 32))
    found = outgrown_image(analysis)
    # conv1_1 … conv3_3 see 3, 5, 10, 14, 24, 32, 40 px, pool3 44, conv4_1 60, conv4_2 76, conv4_3 92, pool4 100,
    # conv5_1 132, conv5_2 164, conv5_3 196, pool5 212
    assert found.exceeding[0] == "features.14"
    assert found.unproductive == (
        "features.14", "features.17", "features.19", "features.21", "features.24", "features.26", "features.28",
    )  # fmt: skip
    assert found.fits_from_px == 212
    assert found.productive_from_px == 165


def test_the_shortest_path_counts_where_paths_branch() -> None:
    """By torchvision's ResNet-18: 11 px after the stem, of which each block's shortcut adds at most its stride."""
    analysis = analyze(models.build("resnet18", device="meta").eval(), (3, 224, 224))
    smallest = smallest_fields(analysis)
    assert smallest["maxpool"] == (11, 11)
    assert smallest["layer1.1.add"] == (11, 11)
    assert smallest["layer1.1.conv2"] == (27, 27)  # 11 and two windows of 3 at a stride of 4
    assert smallest["layer4.0.add"] == (11, 11)  # a projection of 1 × 1 sees no more than its input
    assert not outgrown_image(analysis).unproductive
    assert "layer4.1.add" in outgrown_image(analysis).exceeding  # 435 px by the longest path


SMALL = [
    ("vgg16", 32), ("resnet18", 32), ("resnet50", 48), ("alexnet", 64), ("zfnet_mini", 64), ("mobilenet_v2", 32),
    ("densenet121", 32), ("efficientnet_b0", 48), ("googlenet", 32), ("convnext_tiny", 32), ("senet_mini", 24),
    ("shufflenet_v2_x0_5", 32), ("inception_v3", 80), ("squeezenet1_0", 35),
]  # fmt: skip


@pytest.mark.parametrize(("name", "side_px"), SMALL)
def test_the_advised_image_is_the_least_and_the_advised_strides_mend_it(name: str, side_px: int) -> None:
    network = models.build(name, device="meta").eval()
    channels = models.preset(name).spec.in_channels
    found = outgrown_image(analyze(network, (channels, side_px, side_px)))
    assert found.unproductive

    def left(side: int) -> tuple[str, ...]:
        return outgrown_image(analyze(network, (channels, side, side))).unproductive

    assert left(found.productive_from_px) == ()
    assert left(found.productive_from_px - 1) != ()
    steps = downsamplings(analyze(network, (channels, side_px, side_px)))
    assert set(found.strides) <= set(steps)
    for step in found.strides:
        for layer in step.layers:
            vars(network.get_submodule(layer))["stride"] = (1, 1)
    assert found.strides
    assert left(side_px) == ()


@pytest.mark.parametrize("name", ["alexnet", "resnet_mini", "mobilenet_v2"])
def test_from_the_advised_size_on_every_field_fits(name: str) -> None:
    network = models.build(name, device="meta").eval()
    channels = models.preset(name).spec.in_channels
    fits = outgrown_image(analyze(network, (channels, 64, 64))).fits_from_px
    assert outgrown_image(analyze(network, (channels, fits, fits))).exceeding == ()
    assert outgrown_image(analyze(network, (channels, fits - 1, fits - 1))).exceeding != ()


@pytest.mark.parametrize("name", [next(iter(architecture.presets)) for architecture in models.architectures()])
def test_fields_by_the_longest_path_are_those_that_are_reported(name: str) -> None:
    """Where branches meet askew the reported one, of all together, is larger."""
    analysis = analyze(models.build(name, device="meta").eval(), input_size(name, 224))
    found = outgrown_image(analysis)
    maps = [layer for layer in analysis.layers if layer.is_map and not layer.local_receptive_field.is_global]
    larger = {layer.id for layer in maps if max(layer.local_receptive_field.size) > 224}
    assert set(found.exceeding) <= larger
    assert len(larger - set(found.exceeding)) <= 0.05 * len(maps)


def test_a_network_that_fits_needs_no_mending() -> None:
    found = outgrown_image(analyze(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, 2)), (1, 16, 20)))
    assert (found.exceeding, found.unproductive, found.strides) == ((), (), ())
    assert found.image_size == (16, 20)
    assert (found.fits_from_px, found.productive_from_px) == (5, 4)


def test_one_axis_that_still_grows_is_productive() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 9, padding=4), nn.Conv2d(1, 1, 3, padding=1))
    assert outgrown_image(analyze(network, (1, 8, 8))).unproductive == ("1",)
    assert outgrown_image(analyze(network, (1, 8, 12))).unproductive == ()


def test_without_a_stride_there_is_none_to_leave_out() -> None:
    network = nn.Sequential(*[nn.Conv2d(1, 1, 5, padding=2) for _ in range(3)])
    found = outgrown_image(analyze(network, (1, 6, 6)))
    assert found.unproductive == ("2",)
    assert found.strides == ()
    assert found.productive_from_px == 10
