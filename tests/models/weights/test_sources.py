"""Weights: every source loads strictly or says in one sentence why not, and a failed load changes nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save, save_file
from torch import Tensor

import models
from explorer.networks import catalog
from models.weights import sources
from models.weights.expected_input import GRAY_MEAN, GRAY_STD, IMAGENET_MEAN, IMAGENET_STD, ExpectedInput
from models.weights.sources import available, file_source, load
from tests.support.checkpoints import refusal, same, tiny, trained, upload

TORCHVISION = [name for name in models.presets() if models.preset(name).torchvision]

# Sources


@pytest.mark.parametrize("name", TORCHVISION)
def test_presets_of_torchvision_offer_its_classifiers(name: str) -> None:
    builder = models.preset(name).torchvision
    assert builder is not None
    entries = {entry.name: entry for entry in torchvision.models.get_model_weights(builder)}
    offered = {source.name: source for source in available(name) if source.kind == "imagenet"}
    size = models.spec(name).image_size
    fitting = {key for key, entry in entries.items() if entry.transforms().crop_size == [size]}
    assert set(offered) == fitting - {"IMAGENET1K_FEATURES"}
    for key, source in offered.items():
        transform = entries[key].transforms()
        assert source.url == entries[key].url
        assert source.classes == tuple(entries[key].meta["categories"])
        assert source.preprocessing.resize_px == transform.resize_size[0]
        assert source.preprocessing.crop_px == transform.crop_size[0]
        if name not in ("googlenet", "inception_v3"):  # torchvision re-centres their pixels inside the network
            assert list(source.preprocessing.mean + source.preprocessing.std) == [*transform.mean, *transform.std]


@pytest.mark.parametrize(("name", "versions"), [("vit_b_16", ("V1",)), ("regnet_y_16gf", ("V1", "V2"))])
def test_weights_trained_at_another_size_are_not_offered(name: str, versions: tuple[str, ...]) -> None:
    offered = [source.name for source in available(name)]
    assert offered == ["random", *(f"IMAGENET1K_{version}" for version in (*versions, "SWAG_LINEAR_V1"))]


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "efficientnet_b4"])
def test_pictures_are_made_ready_as_torchvision_does_for_the_published_weights(name: str) -> None:
    """Within one level of 255, to which Pillow rounds between the two directions of its filter."""
    builder, source = models.preset(name).torchvision, available(name)[-1]
    assert builder is not None
    theirs = torchvision.models.get_model_weights(builder)[source.name].transforms()
    pixels = np.random.default_rng(0).integers(0, 256, (420, 500, 3), np.uint8)
    ours = catalog.preprocessing(source, models.spec(name)).tensor(pixels)[0]
    levels = (ours - theirs(Image.fromarray(pixels))).abs() * 255 * min(source.preprocessing.std)
    assert levels.max() < 1.05
    assert levels.mean() < 0.02


def test_vgg16_offers_no_backbone_without_a_classifier() -> None:
    assert [source.name for source in available("vgg16")] == ["random", "IMAGENET1K_V1"]


def test_googlenet_gets_the_pixels_that_torchvision_makes_inside() -> None:
    theirs = torchvision.models.googlenet(init_weights=False, transform_input=True).eval()
    ours = models.build("googlenet")
    ours.load_state_dict(theirs.state_dict())
    chosen = available("googlenet")[-1].preprocessing
    image = torch.rand(1, 3, 64, 64)

    def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        return (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    with torch.inference_mode():
        expected = theirs(normalised(IMAGENET_MEAN, IMAGENET_STD))
        torch.testing.assert_close(ours(normalised(chosen.mean, chosen.std)), expected, rtol=1e-4, atol=1e-4)


def test_random_leaves_the_seeded_weights() -> None:
    module = models.build("resnet_mini", seed=3)
    load(module, next(source for source in available("resnet_mini") if source.kind == "random"))
    assert same(module.state_dict(), models.build("resnet_mini", seed=3).state_dict())


def test_gray_networks_are_normalised_with_one_mean() -> None:
    assert len(available("lenet5")[-1].preprocessing.mean) == models.spec("lenet5").in_channels


def test_other_channels_are_normalised_by_the_average_of_the_weights_mean_and_std() -> None:
    source = replace(available("zfnet_mini")[0], preprocessing=ExpectedInput(64, 64, (0.1, 0.2, 0.6), (1, 2, 6)))
    gray = catalog.preprocessing(source, models.spec("zfnet_mini", in_channels=1))
    assert (gray.channels, gray.mean, gray.std) == (1, pytest.approx((0.3,)), (3,))
    colour = catalog.preprocessing(available("lenet5")[-1], models.spec("lenet5", in_channels=3))
    assert colour.mean == (GRAY_MEAN,) * 3
    assert colour.std == (GRAY_STD,) * 3


def test_shipped_weights_come_first_and_bring_classes_and_preprocessing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SHIPPED", tmp_path)
    state = models.build("resnet_mini", seed=5).state_dict()
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    header = {"classes": ["cat", "car"], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "image_size": 64}
    save_file(halves, tmp_path / "resnet_mini.safetensors", {key: json.dumps(value) for key, value in header.items()})
    (tmp_path / "metrics.json").write_text(json.dumps({"resnet_mini": {"accuracy": 0.964, "epochs": 9}}))

    first = available("resnet_mini")[0]
    assert (first.kind, first.classes, first.needs_download) == ("shipped", ("cat", "car"), False)
    assert first.preprocessing == ExpectedInput(64, 64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert "96.40 %" in first.note
    assert "9 epochs" in first.note
    module = models.build("resnet_mini")
    load(module, first)
    assert same(module.state_dict(), {key: value.to(state[key].dtype) for key, value in halves.items()})


# A person's file


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_file_loads_from_bytes_and_from_disk(dtype: torch.dtype, on_disk: bool, tmp_path: Path) -> None:
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in trained().items()}
    path = tmp_path / "mine.safetensors"
    save_file(state, path)
    module = tiny()
    load(module, file_source("mine", path if on_disk else path.read_bytes(), "resnet_mini"))
    assert same(module.state_dict(), {key: value.to(trained()[key].dtype) for key, value in state.items()})


def test_a_checkpoint_without_batch_counters_loads() -> None:
    state = {key: value for key, value in trained().items() if not key.endswith("num_batches_tracked")}
    module = tiny()
    load(module, upload(save(state))())
    assert torch.equal(module.state_dict()["1.running_var"], state["1.running_var"])


OTHER_NETWORKS = {
    "shape": ({"0.weight": torch.ones(4, 3, 5, 5)}, "0.weight is 4×3×5×5 in the file and 4×3×3×3 in the network."),
    "rank": ({"0.bias": torch.tensor(1.0)}, "0.bias is a single value in the file and 4 in the network."),
    "unexpected": ({"4.bias": torch.ones(9)}, "4.bias (9) is in the file and not in the network."),
    "two": ({"x": torch.ones(1), "0.bias": torch.ones(5)}, "4 in the network; 1 more tensor differs."),
    "integer": ({"0.bias": torch.ones(4, dtype=torch.int8)}, "0.bias is of type I8 in the file"),
    "float counter": ({"1.num_batches_tracked": torch.tensor(1.0)}, "1.num_batches_tracked is of type F32"),
    "nan": ({"0.bias": torch.tensor([1.0, math.nan, 1, math.inf])}, "0.bias has 2 of 4 values that are NaN"),
    "overflow": ({"0.bias": torch.full((4,), 1e300, dtype=torch.float64)}, "0.bias has 4 of 4 values that are NaN"),
    "long name": ({"y" * 9000: torch.ones(1)}, "yyy… (1) is in the file and not in the network."),
    "strange name": ({"a\nb": torch.ones(1)}, r"'a\nb' (1) is in the file and not in the network."),
}


@pytest.mark.parametrize("case", OTHER_NETWORKS)
def test_another_networks_weights_are_refused_with_the_first_difference(case: str) -> None:
    changes, sentence = OTHER_NETWORKS[case]
    message = refusal(upload(save(trained() | changes)))
    assert message.startswith("mine.safetensors")
    assert sentence in message


def test_a_missing_tensor_is_named() -> None:
    state = {key: value for key, value in trained().items() if not key.startswith("3.")}
    assert "3.weight (2×16) is in the network and not in the file; 1 more" in refusal(upload(save(state)))
