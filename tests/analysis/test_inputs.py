"""What a person may hand in as an image: pictures, arrays and other types, against the module's own forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

import explorer
from explorer.analysis.inputs import as_input, preprocessing_of
from explorer.errors import ImageError, UserError
from tests.support.places import SAMPLES

CAT = SAMPLES / "cat.png"


def network(channels: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    ).eval()


def first_maps(module: nn.Sequential, image: Tensor) -> Tensor:
    with torch.no_grad():
        return module[0](image[None])[0]


# -- Pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [CAT, str(CAT), Image.open(CAT), Image.open(CAT).convert("RGBA")])
def test_a_picture_is_prepared_as_torchvisions_imagenet_presets_do(given: Any) -> None:
    usual: Any = transforms.Compose([
        transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])  # fmt: skip
    expected: Tensor = usual(Image.open(CAT).convert("RGB"))
    found = explorer.feature_maps(network(), given, "0")
    torch.testing.assert_close(found, first_maps(network(), expected), atol=0.02, rtol=0)


def test_a_photo_lies_on_its_side_no_longer_and_gray_networks_read_luma(tmp_path: Path) -> None:
    turned = Image.open(CAT).convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "cat.png", exif=exif)
    upright = as_input(network(), CAT).tensor
    for given in (tmp_path / "cat.png", Image.open(tmp_path / "cat.png")):
        torch.testing.assert_close(as_input(network(), given).tensor, upright)
    gray = as_input(network(1), CAT).tensor
    luma = as_input(network(1), Image.open(CAT).convert("L")).tensor
    torch.testing.assert_close(gray, luma)
    assert gray.shape == (1, 1, 224, 224)


def test_a_timm_network_says_itself_what_it_expects() -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model("mobilenetv3_small_050").eval()
    config = timm.data.resolve_model_data_config(module)
    found = preprocessing_of(module)
    assert (found.mean, found.std, found.interpolation) == (config["mean"], config["std"], config["interpolation"])
    assert found.crop == config["input_size"][1:]
    expected = timm.data.create_transform(**config)(Image.open(CAT).convert("RGB"))
    torch.testing.assert_close(as_input(module, CAT).tensor[0], expected, atol=0.05, rtol=0)


def test_the_gray_square_of_a_picture_is_gray_in_its_normalisation() -> None:
    module: Any = network()
    module.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "input_size": (3, 32, 32)}
    found = explorer.occlusion_map(module, CAT, window=32, target=1)
    with torch.no_grad():
        expected = module(torch.zeros(1, 3, 32, 32)).softmax(1)[0, 1]
    assert found.probability[0, 0] == pytest.approx(float(expected), abs=1e-6)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"notes\.png"):
        explorer.feature_maps(network(), tmp_path / "notes.png", "0")


# -- Arrays and types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_arrays_of_floating_values_are_taken_as_they_are(dtype: Any) -> None:
    values = np.random.default_rng(0).standard_normal((3, 9, 11)).astype(dtype)
    found = explorer.feature_maps(network(), values[::-1], "0")
    torch.testing.assert_close(found, first_maps(network(), torch.tensor(values[::-1].copy()).float()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_an_image_is_cast_to_the_type_of_the_weights(dtype: torch.dtype) -> None:
    module, image = network().to(dtype), torch.randn(3, 12, 14)
    found = explorer.feature_maps(module, image, "0")
    assert found.dtype == dtype
    torch.testing.assert_close(found, first_maps(module, image.to(dtype)))
    occluded = explorer.occlusion_map(module, image, window=6, stride=6)
    assert occluded.precision == str(dtype).removeprefix("torch.")
    with torch.no_grad():
        assert occluded.baseline == pytest.approx(
            float(module(image[None].to(dtype)).double().softmax(1).max()), abs=2e-3
        )


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (torch.zeros(3, 9, 9, dtype=torch.uint8), "uint8 values, as a picture has before normalisation"),
        (np.zeros((9, 9, 3), np.uint8), "uint8 values"),
        (torch.zeros(3, 9, 9, dtype=torch.int64), "int64 values"),
        (torch.zeros(9, 11, 3), r"\[9, 11, 3\] has its channels last, as \[H, W, C\]"),
        (np.zeros((9, 11, 3)), r"\[9, 11, 3\] has its channels last"),
        (torch.zeros(9, 11), r"\[9, 11\] is a gray picture \[H, W\]"),
        (torch.zeros(4, 3, 9, 9), r"\[4, 3, 9, 9\] is a batch of 4"),
        (torch.zeros(1, 1, 3, 9, 9), r"\[1, 1, 3, 9, 9\] is not \[C, H, W\]"),
        (torch.zeros(3, 0, 9), r"\[3, 0, 9\] is not \[C, H, W\]"),
        (np.array(["cat"]), "an array of <U3"),
        ([[0.0]], "image is a list"),
        (None, "image is a NoneType"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_one_sentence_that_names_what_is_expected(image: Any, says: str) -> None:
    for call in (lambda: explorer.feature_maps(network(), image, "0"),
                 lambda: explorer.occlusion_map(network(), image)):  # fmt: skip
        with pytest.raises(UserError, match=says) as caught:
            call()
        assert "one image [C, H, W]" in str(caught.value)
        assert len(str(caught.value)) < 300


def test_maps_of_many_channels_are_no_picture_with_its_channels_last() -> None:
    block = nn.Sequential(nn.Conv2d(64, 4, 1), nn.Flatten()).eval()
    assert explorer.feature_maps(block, torch.zeros(64, 5, 3), "0").shape == (4, 5, 3)


# -- The square -------------------------------------------------------------------------------------------------------


def test_the_default_square_fits_a_small_image() -> None:
    found = explorer.occlusion_map(network(), torch.randn(3, 8, 8))
    top, left, bottom, right = found.box(0, 0)
    assert (bottom - top, right - left) == (3, 3)
    assert found.shape == (6, 6)
    with pytest.raises(UserError, match="window=9x9 is larger than the image of 8x8"):
        explorer.occlusion_map(network(), torch.randn(3, 8, 8), window=9)
    large = explorer.occlusion_map(torchvision.models.squeezenet1_1().eval(), torch.randn(3, 64, 64))
    assert large.box(0, 1) == (0, 16, 32, 48)
