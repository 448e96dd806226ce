"""Attributions by Captum on a traced program: each a tensor [N, C, H, W], or a layer's maps [N, 1, rows, columns]."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum import attr  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor

from explorer.analysis.attribution_model import ScoringModule
from explorer.analysis.attribution_settings import AttributionMethod, AttributionSettings
from explorer.analysis.occluder import fill_values, singly
from explorer.analysis.passes import Cancel


@dataclass(frozen=True, eq=False)
class Attributed:
    """What is attributed: the score of a class, targets [N], for each of some images [N, C, H, W]; those methods that
    draw take one. batch: images that fit into memory together."""

    model: ScoringModule
    images: Tensor
    targets: Tensor
    settings: AttributionSettings
    batch: int
    cancel: Cancel

    @property
    def deviation(self) -> float:
        """Of the noise that is added to the image."""
        return self.settings.noise * float(self.images.detach().max() - self.images.detach().min())

    @property
    def baselines(self) -> Tensor:
        """The absence of each picture, in the shape of the images."""
        return torch.cat([self.settings.baseline(image) for image in singly(self.images.detach())])


def gradient(job: Attributed) -> Tensor:
    """The derivative of the score by the pixels, by the rules that the model has."""
    return attr.Saliency(job.model).attribute(job.images, job.targets, abs=False)


def input_x_gradient(job: Attributed) -> Tensor:
    """The derivative times the pixel."""
    return attr.InputXGradient(job.model).attribute(job.images, job.targets)


def integrated_gradients(job: Attributed) -> Tensor:
    """The mean derivative on the way from the baseline, times the way (Sundararajan et al. 2017)."""
    return attr.IntegratedGradients(job.model).attribute(
        job.images, job.baselines, job.targets, n_steps=job.settings.steps, internal_batch_size=job.batch
    )


def smoothgrad(job: Attributed) -> Tensor:
    """The mean derivative under noise (Smilkov et al. 2017)."""
    draws, total = _Draws.of(job), torch.zeros_like(job.images)
    for count in draws.batches(job):
        total += _slopes(job, draws.noisy(job, count)).sum(0, keepdim=True)
    return total / job.settings.samples


def gradient_shap(job: Attributed) -> Tensor:
    """Expected gradients under noise, from baselines at random (Lundberg and Lee 2017; Erion et al. 2021)."""
    absent = [fill_values(job.images, fill).expand_as(job.images) for fill in ("mean", "blur")]
    baselines = torch.cat([job.baselines, *absent])
    draws, total = _Draws.of(job), torch.zeros_like(job.images)
    for count in draws.batches(job):
        noisy = draws.noisy(job, count)
        start = baselines[draws.numbers.choice(len(baselines), count)]
        share = torch.as_tensor(draws.numbers.uniform(0.0, 1.0, count)).to(noisy).view(-1, 1, 1, 1)
        slopes = _slopes(job, share * noisy + (1 - share) * start)
        total += ((noisy - start) * slopes).sum(0, keepdim=True)
    return total / job.settings.samples


def _slopes(job: Attributed, images: Tensor) -> Tensor:
    """The derivative at each of some variants of the one image."""
    return attr.Saliency(job.model).attribute(images.requires_grad_(), job.targets.expand(len(images)), abs=False)


@dataclass(frozen=True, eq=False)
class _Draws:
    """What is drawn from a seed, in the order that Captum draws it: its own generators are those of all threads, so
    that visitors would have to wait for each other."""

    noise: torch.Generator
    numbers: np.random.RandomState

    @classmethod
    def of(cls, job: Attributed) -> _Draws:
        """Fresh generators of the job's seed."""
        seed = job.settings.seed
        return cls(torch.Generator(job.images.device).manual_seed(seed), np.random.RandomState(seed % 2**32))

    @staticmethod
    def batches(job: Attributed) -> Iterator[int]:
        """How many samples are run together, until all are."""
        for first in range(0, job.settings.samples, job.batch):
            yield min(job.batch, job.settings.samples - first)

    def noisy(self, job: Attributed, count: int) -> Tensor:
        """The image with noise, so many times."""
        deviation = job.images.new_full((count, *job.images.shape[1:]), job.deviation)
        return job.images.detach() + torch.normal(0.0, deviation, generator=self.noise)


def deeplift(job: Attributed) -> Tensor:
    """Contributions to the difference from the baseline, by the rescale rule (Shrikumar et al. 2017)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting forward, backward hooks and attributes")
        return attr.DeepLift(job.model).attribute(job.images, job.baselines, job.targets)


def gradcam(job: Attributed) -> Tensor:
    """Maps weighted by the mean derivative of the score by each, without the rectifier (Selvaraju et al. 2017)."""
    found: Any = attr.LayerGradCam(job.model, job.model.maps).attribute(job.images, job.targets)
    return found


def layercam(job: Attributed) -> Tensor:
    """Maps weighted place by place by the positive part of the derivative (Jiang et al. 2021).

    Captum gives activation × derivative: where its sign is the activation's, the derivative is positive.
    """
    product: Any = attr.LayerGradientXActivation(job.model, job.model.maps).attribute(job.images, job.targets)
    maps: Any = attr.LayerActivation(job.model, job.model.maps).attribute(job.images)
    return product.where(product * maps > 0, torch.zeros_like(product)).sum(1, keepdim=True)


CAPTUM: dict[AttributionMethod, Callable[[Attributed], Tensor]] = {
    "deconvnet": gradient, "guided": gradient, "saliency": gradient, "input_x_gradient": input_x_gradient,
    "integrated_gradients": integrated_gradients, "smoothgrad": smoothgrad, "gradient_shap": gradient_shap,
    "deeplift": deeplift, "gradcam": gradcam, "layercam": layercam,
}  # fmt: skip
