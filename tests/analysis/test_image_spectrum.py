"""The coordinates in which an image is optimised, against NumPy's transform and torchvision's affine views."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from explorer.analysis.image_spectrum import (
    CONTRAST,
    ViewRange,
    colour_axes,
    frequency_scale,
    random_view,
    seen_through,
    start_spectrum,
    to_image,
    usual_axes,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def view(angle_deg: float = 0, factor: float = 1, shift: tuple[float, float] = (0, 0)) -> torch.Tensor:
    """A view by angle, factor and (down, right) in shares of the side."""
    angle = math.radians(angle_deg)
    cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
    return torch.tensor([[[cos, -sin, 2 * shift[1]], [sin, cos, 2 * shift[0]]]])


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 9), (7, 4)])
def test_an_image_is_the_inverse_transform_of_its_scaled_coefficients(height: int, width: int) -> None:
    spectrum = torch.stack([start_spectrum((1, height, width), generator())])
    complex_ = spectrum.numpy()[..., 0] + 1j * spectrum.numpy()[..., 1]
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    scaled = complex_ / np.maximum(frequencies, 1 / max(height, width))
    values = np.fft.irfft2(scaled, s=(height, width), norm="ortho") / CONTRAST
    expected = 1 / (1 + np.exp(-values))
    found = to_image(spectrum, width, torch.eye(1))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_low_frequencies_count_for_more_in_proportion_to_their_wavelength() -> None:
    scale = frequency_scale(64, 64)
    assert scale.shape == (64, 33)
    assert float(scale[0, 2] / scale[0, 32]) == pytest.approx(16)
    assert float(scale[0, 0]) == pytest.approx(64)


def test_independent_components_get_the_colours_covariance() -> None:
    covariance = torch.tensor([[0.057, 0.040, 0.030], [0.040, 0.047, 0.038], [0.030, 0.038, 0.042]])
    components = torch.randn(3, 200_000, generator=generator())
    found = torch.cov(colour_axes(covariance) @ components)
    torch.testing.assert_close(found / found[0, 0], covariance / covariance[0, 0], rtol=0.02, atol=0.02)


def test_without_pictures_colours_are_gray_above_all() -> None:
    gray = torch.tensor([1.0, 1.0, 1.0]) / math.sqrt(3)
    assert float((usual_axes(3)[:, 0] @ gray).abs()) > 0.99
    assert torch.equal(usual_axes(5), torch.eye(5))


@pytest.mark.parametrize(
    ("angle", "factor", "shift"), [(5, 1, (0, 0)), (0, 1.1, (0, 0)), (0, 1, (0.125, -0.25)), (-4, 0.95, (0, 0))]
)
def test_a_view_is_torchvisions_affine_away_from_the_border(
    angle: float, factor: float, shift: tuple[float, float]
) -> None:
    image = torch.rand(1, 3, 24, 32, generator=generator())
    moved = [round(-shift[1] * 32), round(-shift[0] * 24)]
    expected = affine(image, -angle, moved, factor, [0.0], InterpolationMode.BILINEAR)
    found = seen_through(image, view(angle, factor, shift))
    torch.testing.assert_close(found[..., 8:16, 10:22], expected[..., 8:16, 10:22], rtol=1e-4, atol=1e-4)


def test_views_are_random_within_their_limits() -> None:
    limits, random = ViewRange(rotation_deg=5, scale=0.1, jitter=0.05), generator()
    found = torch.stack([random_view(limits, random) for _ in range(300)])
    angles = torch.atan2(found[:, 1, 0], found[:, 0, 0]).rad2deg()
    factors, shifts = 1 / found[:, :, :2].det().sqrt(), found[:, :, 2] / 2
    for values, most in ((angles, 5.0), (factors - 1, 0.1), (shifts, 0.05)):
        assert 0.9 * most < float(values.abs().max()) <= most + 1e-5
        assert abs(float(values.mean())) < 0.15 * most
