"""How images are optimised for a network at hand: in the colours and the normalisation that its weights know."""

from __future__ import annotations

import numpy as np
import torch

from explorer.analysis.image_spectrum import colour_axes, usual_axes
from explorer.analysis.optimised_image import OptimisationSettings, OptimisedImage
from explorer.images.preprocess import Preprocessing, to_pixels
from explorer.training.dataset import COLOUR_COVARIANCE, MEAN

ASCENT_STEPS = 256


def optimisation_settings(
    preprocessing: Preprocessing, steps: int = ASCENT_STEPS, seed: int = 0
) -> OptimisationSettings:
    """For weights of the embedded pictures their colours, for all others ImageNet's. Raises UserError (the steps)."""
    if preprocessing.mean in (MEAN, MEAN[::-1]):
        axes = colour_axes(torch.tensor(COLOUR_COVARIANCE))
    else:
        axes = usual_axes(preprocessing.channels)
    if preprocessing.order == "BGR":
        axes = axes.flip(0)
    return OptimisationSettings(steps, seed=seed, mean=preprocessing.mean, std=preprocessing.std, axes=axes)


def optimised_pixels(found: OptimisedImage, preprocessing: Preprocessing) -> np.ndarray:
    """An image that was optimised with these settings as a picture, uint8 [H, W, 3]."""
    channels = preprocessing.channels
    return to_pixels(preprocessing.in_rgb(found.image), (0.0,) * channels, (1.0,) * channels)
