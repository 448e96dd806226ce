"""Preprocessing as torchvision does it, for any size and any values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights
from torchvision.transforms import v2

from explorer.images.preprocess import ColourOrder, Preprocessing, resize, to_pixels

IMAGENET = Preprocessing(256, (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def photo(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(height).integers(0, 256, (9, 7, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [(300, 500), (500, 300), (257, 256), (224, 224), (100, 37), (64, 999)])
def test_preprocessing_equals_torchvisions(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    ours, theirs = IMAGENET.tensor(pixels), ResNet50_Weights.IMAGENET1K_V1.transforms()(Image.fromarray(pixels))
    assert ours.shape == (1, 3, 224, 224)
    assert ours.dtype == torch.float32
    one_level = 1 / 255 / 0.224
    assert (ours[0] - theirs).abs().max() <= 1.01 * one_level
    assert (ours[0] - theirs).abs().mean() <= 0.02 * one_level
    on_tensors = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224), v2.ToDtype(torch.float32, scale=True)])
    view = torch.from_numpy(IMAGENET.view(pixels)).permute(2, 0, 1) / 255
    assert (view - on_tensors(torch.from_numpy(pixels).permute(2, 0, 1))).abs().max() <= 1.01 / 255


def test_preprocessing_of_a_network_with_one_channel() -> None:
    lenet = Preprocessing(32, (32, 32), (0.1307,), (0.3081,), channels=1)
    pixels = photo(40, 60)
    theirs = v2.Compose([v2.Resize(32), v2.CenterCrop(32), v2.Grayscale(), v2.PILToTensor()])(Image.fromarray(pixels))
    expected = (theirs / 255 - 0.1307) / 0.3081
    assert lenet.tensor(pixels).shape == (1, 1, 32, 32)
    assert (lenet.tensor(pixels)[0] - expected).abs().max() <= 1.01 / 255 / 0.3081
    view = lenet.view(pixels)
    assert view.shape == (32, 32, 3)
    assert (view == view[..., :1]).all()


def test_mini_networks_see_the_whole_square() -> None:
    mini = Preprocessing(64, (64, 64), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    pixels = photo(64, 64)
    assert np.array_equal(mini.view(pixels), pixels)
    assert np.array_equal(to_pixels(mini.tensor(pixels), mini.mean, mini.std), pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1), (3, 25_000_000 // 3)])
@pytest.mark.parametrize("crop", [(224, 224), (128, 224), (224, 100)])
def test_extreme_sizes_cost_only_what_is_kept(
    size: tuple[int, int], crop: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, real = list[tuple[int, int]](), Image.Image.resize

    def counted(image: Image.Image, to: tuple[int, int], *rest: Any, **options: Any) -> Image.Image:
        computed.append(to)
        return real(image, to, *rest, **options)

    monkeypatch.setattr(Image.Image, "resize", counted)
    view = Preprocessing(256, crop, IMAGENET.mean, IMAGENET.std).view(np.full((*size, 3), 77, np.uint8))
    assert view.shape == (*crop, 3)
    assert (view == 77).all()
    assert computed == [crop[::-1]]


def test_non_square_crop_keeps_the_aspect_ratio() -> None:
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[40:60, 190:210] = 255  # a square in the middle
    view = Preprocessing(100, (80, 160), IMAGENET.mean, IMAGENET.std).view(pixels)
    bright = view[..., 0] > 127
    assert bright.any(0).sum() == bright.any(1).sum() == 20
    assert np.flatnonzero(bright.any(0)).mean() == 79.5
    assert np.flatnonzero(bright.any(1)).mean() == 39.5


def test_stretch_keeps_every_edge() -> None:
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, :4] = 255
    stretched = resize(pixels, (20, 20), "stretch")
    assert stretched.shape == (20, 20, 3)
    assert (stretched[5, 0] == 255).all()
    assert resize(pixels, (20, 20), "crop").max() == 0


def test_to_pixels_takes_any_values() -> None:
    tensor = torch.tensor([float("nan"), -9.0, 0.5, float("inf")]).view(1, 1, 2, 2)
    assert to_pixels(tensor, (0.0,), (1.0,))[..., 2].tolist() == [[0, 0], [128, 255]]


@pytest.mark.parametrize(
    "change", [{"channels": 2}, {"mean": (0.5,)}, {"crop": (300, 300)}, {"crop": (0, 224)}], ids=str
)
def test_preprocessing_that_cannot_be(change: dict) -> None:
    arguments = {"resize_px": 256, "crop": (224, 224), "mean": IMAGENET.mean, "std": IMAGENET.std, **change}
    with pytest.raises(ValueError, match="channels=|crop="):
        Preprocessing(**arguments)


def test_blue_green_red_is_the_same_input_with_its_channels_flipped() -> None:
    pixels, mean, std = photo(300, 500), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    straight = Preprocessing(64, (64, 64), mean, std)
    flipped = Preprocessing(64, (64, 64), mean[::-1], std[::-1], order="BGR")
    torch.testing.assert_close(flipped.tensor(pixels), straight.tensor(pixels)[:, [2, 1, 0]], rtol=0, atol=0)
    assert np.array_equal(flipped.view(pixels), straight.view(pixels)), "a person sees the picture's own colours"
    assert np.array_equal(flipped.pixels(flipped.tensor(pixels)), flipped.view(pixels))
    assert torch.equal(flipped.in_rgb(flipped.tensor(pixels)), straight.tensor(pixels))


@pytest.mark.parametrize(("channels", "order"), [(3, "RGB"), (3, "BGR"), (1, "RGB")])
def test_a_batch_is_normalised_to_the_last_bit_as_torchvision_does_it(channels: int, order: ColourOrder) -> None:
    expected = Preprocessing(
        24, (24, 31), (0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels], channels, order=order
    )
    views = torch.randint(0, 256, (5, 24, 31, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    given = (views.flip(-1) if order == "BGR" else views)[..., :channels].permute(0, 3, 1, 2)
    theirs = v2.functional.normalize(given.float() / 255, list(expected.mean), list(expected.std))
    assert torch.equal(expected.normalised(views), theirs)


def test_padding_has_the_mean_colour_in_either_order() -> None:
    for order, mean in (("RGB", (0.2, 0.4, 0.6)), ("BGR", (0.6, 0.4, 0.2))):
        padded = Preprocessing(64, (64, 64), mean, (1.0,) * 3, fit="pad", order=order)  # pyright: ignore[reportArgumentType]
        assert padded.view(photo(50, 100))[0, 0].tolist() == [51, 102, 153]
        assert padded.tensor(photo(50, 100))[0, :, 0, 0].tolist() == pytest.approx([0, 0, 0], abs=1e-6)
