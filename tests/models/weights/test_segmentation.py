"""torchvision's weights of its segmentation networks: offered as it describes them, read without their aux head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from explorer.networks import catalog, libraries
from explorer.networks.own_weights import own_weights
from explorer.networks.picture_input import fitted
from models.weights.own_file import open_own

WITH_HEAD = "deeplabv3_mobilenet_v3_large"
NAMES = [name for name, task in libraries.torchvision_kinds().items() if task == "segmentation"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    """A network as torchvision publishes it, with the head that training alone uses, and the file of its weights."""
    make = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large
    torch.manual_seed(0)
    theirs = make(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    path = tmp_path_factory.mktemp("segmentation") / "weights.safetensors"
    save_file(theirs.state_dict(), path)
    return theirs, path


@pytest.mark.parametrize("name", NAMES)
def test_torchvisions_weights_are_offered_as_it_describes_them(name: str) -> None:
    (entry,) = torchvision.models.get_model_weights(name)
    random, source = catalog.available(f"torchvision:{name}")
    assert (random.kind, source.name, source.url) == ("random", entry.name, entry.url)
    assert source.classes == tuple(entry.meta["categories"])
    assert f"{entry.meta['_metrics']['COCO-val2017-VOC-labels']['miou']:.1f} %" in source.note
    assert random.preprocessing == source.preprocessing


def test_pictures_are_made_ready_as_torchvision_does() -> None:
    """A square one, of which torchvision's network reads all, within one level of 255."""
    name = f"torchvision:{WITH_HEAD}"
    source = catalog.weights_source(name, "COCO_WITH_VOC_LABELS_V1")
    theirs = torchvision.models.get_model_weights(WITH_HEAD)[source.name].transforms()
    pixels = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    ours = fitted(source.preprocessing, catalog.find(name).input_size).tensor(pixels)
    levels = (ours[0] - theirs(Image.fromarray(pixels))).abs() * 255 * min(source.preprocessing.std)
    assert levels.max() < 1.05


def test_the_network_answers_as_torchvisions_with_the_same_weights(checkpoint: tuple[torch.nn.Module, Path]) -> None:
    theirs, path = checkpoint
    network = replace(catalog.find(f"torchvision:{WITH_HEAD}"), input_size=(3, 64, 64))
    source = catalog.weights_source(network.name, "COCO_WITH_VOC_LABELS_V1")
    loaded = catalog.load(network, replace(source, url=None, path=path))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded.module(image)["out"], theirs(image)["out"])
    assert loaded.classes[15] == "person"


def test_a_persons_file_with_the_second_head_is_the_networks_and_the_head_is_told(
    checkpoint: tuple[torch.nn.Module, Path],
) -> None:
    theirs, path = checkpoint
    found = own_weights(open_own(path), f"torchvision:{WITH_HEAD}")
    heads = [name for name in theirs.state_dict() if name.startswith("aux_classifier.") and "tracked" not in name]
    assert found.match.fit.is_whole
    assert f"{len(heads)} other tensors passed over" in found.source.notes[0]


def test_a_part_of_a_detector_says_why_it_has_no_weights() -> None:
    (only,) = catalog.available("torchvision:ssd300_vgg16.backbone")
    assert only.note.endswith("torchvision's weights are of the whole detector, of which this is a part.")
