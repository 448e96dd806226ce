"""Images as decorrelated Fourier coefficients, and the random views in which they are judged (Olah et al. 2017).

Gradient ascent on pixels finds noise of high frequency. In these coordinates the frequencies have equal energy and the
colours are independent, so that a step goes as far in each as natural pictures vary in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.types import InputSize

# Square root of the covariance of ImageNet's colours, as Lucid (Olah et al. 2017) has it: [colour, component].
IMAGENET_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
START_DEVIATION = 0.01  # of the coefficients at the start: next to gray
CONTRAST = 4.0  # Lucid divides the pixels by it before the sigmoid


def colour_axes(covariance: Tensor) -> Tensor:
    """Maps independent components to colours whose covariance is in proportion to this one [C, C]: [colour, component].

    The greatest column has length 1.
    """
    values, directions = np.linalg.eigh(covariance.double().numpy())
    return _of_unit_length(torch.tensor((directions * np.sqrt(values.clip(0)))[:, ::-1].copy(), dtype=torch.float32))


def _of_unit_length(axes: Tensor) -> Tensor:
    return axes / axes.square().sum(0).max().sqrt()


def usual_axes(channels: int) -> Tensor:
    """The colour axes where nothing is known of the pictures: ImageNet's for three channels, else independent ones."""
    return _of_unit_length(torch.tensor(IMAGENET_COLOURS)) if channels == 3 else torch.eye(channels)


def frequency_scale(height: int, width: int) -> Tensor:
    """What a coefficient is multiplied by: 1 / frequency in cycles per pixel, [rows, columns // 2 + 1] as of `rfft2`.

    The mean colour, of frequency 0, is taken for the lowest frequency that there is.
    """
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    return torch.tensor(1 / np.maximum(frequencies, 1 / max(height, width)), dtype=torch.float32)


def start_spectrum(size: InputSize, generator: torch.Generator) -> Tensor:
    """Random coefficients near gray: real and imaginary parts [C, rows, columns // 2 + 1, 2]."""
    channels, height, width = size
    return torch.randn(channels, height, width // 2 + 1, 2, generator=generator) * START_DEVIATION


def to_image(spectrum: Tensor, width: int, axes: Tensor) -> Tensor:
    """Coefficients [N, C, rows, columns // 2 + 1, 2] as images [N, C, rows, width] of values from 0 to 1."""
    height = spectrum.shape[2]
    scale = frequency_scale(height, width).to(spectrum.device)
    scaled = torch.view_as_complex(spectrum) * scale
    # By the usual norm a coefficient would count for less, the larger the image.
    pixels: Tensor = torch.fft.irfft2(scaled, s=(height, width), norm="ortho")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return torch.einsum("dc,nchw->ndhw", axes.to(spectrum.device), pixels / CONTRAST).sigmoid()


# -- views ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ViewRange:
    """How far each step turns (degrees), scales (share) and shifts (share of the side) the image, at most."""

    rotation_deg: float = 5.0
    scale: float = 0.05
    jitter: float = 0.02


def random_view(limits: ViewRange, generator: torch.Generator) -> Tensor:
    """A random turn, scale and shift within the limits, as the [2, 3] matrix of `torch.nn.functional.affine_grid`."""
    turn, zoom, down, right = (float(value) for value in 2 * torch.rand(4, generator=generator) - 1)
    angle, factor = math.radians(limits.rotation_deg * turn), 1 + limits.scale * zoom
    cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
    # The grid goes from -1 to 1, so that the whole side is 2.
    return torch.tensor([[cos, -sin, 2 * limits.jitter * right], [sin, cos, 2 * limits.jitter * down]])


def seen_through(images: Tensor, views: Tensor) -> Tensor:
    """Images [N, C, H, W], each turned, scaled and shifted by its view [N, 2, 3], mirrored at the borders."""
    height, width = images.shape[2:]
    aspect = torch.tensor([[1.0, height / width, 1.0], [width / height, 1.0, 1.0]])  # a turn is one of pixels
    grid = F.affine_grid((views * aspect).to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
