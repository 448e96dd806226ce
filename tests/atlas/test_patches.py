"""Patches and projections of a channel's nine: those of each picture by itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.analysis.deconvnet import project, project_each
from explorer.analysis.top_nine import NINE, TopNine
from explorer.atlas.patches import Patch, field_boxes, patches_and_projections
from explorer.atlas.picture_sets import FolderPictures, UnseenPictures
from explorer.atlas.shipped import shipped
from explorer.errors import Cancelled, UserError
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from tests.support.toy_networks import Branching

PICTURES = UnseenPictures()


@cache
def loaded(name: str) -> LoadedNetwork:
    return catalog.load(catalog.find(name), catalog.weights_source(name), "cpu")


def sheet(
    name: str, layer: str, channels: list[int], count: int = NINE, projections: bool = True
) -> dict[int, tuple[Patch, ...]]:
    top = shipped(name).of(layer)
    found = patches_and_projections(loaded(name), PICTURES, top, layer, channels, count=count, projections=projections)
    return dict(found)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("zfnet_mini", "features.6"),
        ("googlenet_mini", "inception3a.concat"),
        ("resnet_mini", "layer2.0.act1"),
    ],
)
def test_each_is_the_projection_of_its_unit_by_itself(name: str, layer: str) -> None:
    network, program = loaded(name), loaded(name).program
    for channel, patches in sheet(name, layer, [5, 0], count=3).items():
        assert len(patches) == 3
        for patch in patches:
            image = network.input(PICTURES.pixels(patch.picture))
            alone = project(program, image, layer, channel, patch.position)
            assert patch.value == pytest.approx(alone.activation, rel=1e-3)
            top, left, bottom, right = patch.box
            cut = alone.activation * alone.signal[:, top:bottom, left:right].permute(1, 2, 0)
            assert patch.projection is not None
            np.testing.assert_allclose(patch.projection, cut, rtol=1e-3, atol=1e-5)
            outside = alone.signal.clone()
            outside[:, top:bottom, left:right] = 0
            assert not outside.any(), "the field holds all that excites the unit"


def test_the_pixels_are_what_the_unit_sees_of_the_picture() -> None:
    patches = sheet("zfnet_mini", "features.2", [3], projections=False)[3]
    assert len(patches) == NINE
    assert len({patch.picture for patch in patches}) == NINE
    assert [patch.value for patch in patches] == sorted((patch.value for patch in patches), reverse=True)
    for patch in patches:
        top, left, bottom, right = patch.box
        np.testing.assert_array_equal(patch.pixels, PICTURES.pixels(patch.picture)[top:bottom, left:right])
        assert patch.projection is None
        assert patch.label == PICTURES.label(patch.picture)
        assert bottom - top <= 7, "the kernel of the first convolution"


def test_what_sees_everything_has_the_whole_picture() -> None:
    graph = loaded("zfnet_mini").program.graph
    for layer in ("classifier.6", "flatten"):
        assert field_boxes(graph, layer)[:, 0, 0].tolist() == [0, 0, 64, 64]
    patches = sheet("zfnet_mini", "classifier.6", [4], count=2)[4]
    assert all(patch.pixels.shape == (64, 64, 3) for patch in patches)
    assert all(patch.projection is not None and patch.projection.shape == (64, 64, 3) for patch in patches)


def test_a_batch_of_units_is_led_back_as_each_alone_and_a_bad_unit_is_named() -> None:
    program = loaded("zfnet_mini").program
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    channels, positions = [3, 1, 7, 3], [(2, 2), (0, 0), (7, 7), (4, 1)]
    found = project_each(program, images, "features.10", channels, positions)
    for image, channel, position, signal in zip(images, channels, positions, found, strict=True):
        alone = project(program, image, "features.10", channel, position).signal
        torch.testing.assert_close(signal, alone, rtol=1e-4, atol=1e-6)
    with pytest.raises(UserError, match="channel=80: layer 'features.10' has channels 0 to 79"):
        project_each(program, images, "features.10", [80] * 4, positions)


def test_a_network_that_takes_one_image_at_a_time_is_led_back_one_by_one(tmp_path: Path) -> None:
    program = trace(Branching().eval(), (3, 8, 8))
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    preprocessing = replace(loaded("zfnet_mini").preprocessing, resize_px=8, crop=(8, 8))
    network = LoadedNetwork(program.module, program, preprocessing, ())
    layer = next(each.id for each in program.graph if each.kind == "relu")
    top = TopNine.of_maxima(np.ones((3, 4)), np.zeros((3, 4), int), np.arange(3), 1)
    (found,) = patches_and_projections(network, FolderPictures(tmp_path), top, layer, [2])
    assert [patch.name for patch in found[1]] == ["0.png", "1.png", "2.png"]


def test_a_picture_that_was_lost_leaves_its_place_empty(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(PICTURES.pixels(number)).save(tmp_path / f"{number}.png")
    pictures = FolderPictures(tmp_path)
    (tmp_path / "2.png").unlink()
    top = TopNine.of_maxima(np.ones((4, 24)), np.zeros((4, 24), int), np.arange(4), 32)
    ((_, patches),) = patches_and_projections(loaded("zfnet_mini"), pictures, top, "features.2", [1])
    assert [patch.pixels.size > 0 for patch in patches] == [True, True, False, True]
    assert [patch.projection is None for patch in patches] == [False, False, True, False]


def test_a_scan_of_another_network_is_refused_and_a_stop_stops() -> None:
    far = TopNine.of_maxima(np.ones((1, 24)), np.full((1, 24), 5000), np.arange(1), 32)
    with pytest.raises(UserError, match=r"the maps of layer 'features\.2' are 32×32; the scan is of another network"):
        list(patches_and_projections(loaded("zfnet_mini"), PICTURES, far, "features.2", [0]))
    top = shipped("zfnet_mini").of("features.2")
    with pytest.raises(Cancelled):
        list(patches_and_projections(loaded("zfnet_mini"), PICTURES, top, "features.2", [0], cancel=lambda: True))
