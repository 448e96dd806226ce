"""How images are optimised for a network at hand: in the colours and the normalisation that its weights know."""

from __future__ import annotations

import torch

from explorer.analysis.image_spectrum import colour_axes
from explorer.analysis.optimised_image import OptimisationSettings
from explorer.images.preprocess import Preprocessing
from explorer.training.dataset import COLOUR_COVARIANCE, MEAN

ASCENT_STEPS = 256


def optimisation_settings(
    preprocessing: Preprocessing, steps: int = ASCENT_STEPS, seed: int = 0
) -> OptimisationSettings:
    """For weights of the embedded pictures their colours, for all others ImageNet's. Raises UserError (the steps)."""
    axes = colour_axes(torch.tensor(COLOUR_COVARIANCE)) if preprocessing.mean == MEAN else None
    return OptimisationSettings(steps, seed=seed, mean=preprocessing.mean, std=preprocessing.std, axes=axes)
