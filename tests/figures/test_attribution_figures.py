"""Signed maps, signals and curves as figures: zero is neutral, opposite values lie as far from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explorer.figures.attribution import curves, over_picture, signal_picture, signed, strength


def test_zero_is_the_lightest_and_opposite_values_have_opposite_colours() -> None:
    colours = signed(np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]]), 1.0)[0].astype(int)
    assert colours[2].min() >= 245
    assert (colours[0] == colours[1]).all(), "beyond the greatest is the full colour"
    assert (colours[3] == colours[4]).all()
    red, _, blue = (colours[4] - colours[0]).tolist()
    assert red > 0 > blue, "orange against purple"


def test_one_pixel_alone_does_not_set_the_scale() -> None:
    values = np.tile(np.linspace(-1, 1, 100), (100, 1))
    values[0, 0] = 1000
    assert strength(values) <= 1
    assert strength(np.zeros((4, 4))) == 1
    alone = np.zeros((100, 100))
    alone[3, 4] = -5
    assert strength(alone) == 5


def test_the_picture_shows_where_nothing_is_attributed() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    values = np.zeros((64, 64))
    values[10, 20] = 1
    shown = over_picture(picture, values, 1.0)
    assert shown.shape == (512, 512, 3)
    gray = shown[::8, ::8].astype(int)
    assert (gray[10, 20] == signed(np.array([[1.0]]), 1.0)[0, 0]).all()
    gray[10, 20] = gray[10, 21]
    assert (gray == gray[..., :1]).all()
    lightness = picture.mean(-1)
    assert np.corrcoef(lightness.ravel(), gray[..., 0].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_signal_is_an_image_around_gray(channels: int) -> None:
    signal = torch.zeros(channels, 4, 4)
    signal[:, 0, 0], signal[:, 1, 1] = 2.0, -2.0
    shown = signal_picture(signal)[::128, ::128]
    assert shown.shape == (4, 4, 3)
    assert (shown[0, 0] == 255).all()
    assert (shown[1, 1] == 0).all()
    assert (shown[2:] == 128).all()


def test_each_method_is_a_line_from_no_pixel_to_all() -> None:
    shares = np.linspace(0, 1, 5)
    figure = curves({"saliency": (shares, shares), "gradcam": (shares, 1 - shares)}, "pixels taken away")
    assert [line.name for line in figure.data] == ["saliency", "gradcam"]  # pyright: ignore
    assert list(figure.data[1].y) == pytest.approx([1, 0.75, 0.5, 0.25, 0])  # pyright: ignore
