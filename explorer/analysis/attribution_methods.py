"""Attributions by Captum on a traced program: each a tensor [1, C, H, W], or a layer's map [1, 1, rows, columns]."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum import attr  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor

from explorer.analysis.attribution_model import ScoringModule
from explorer.analysis.attribution_settings import AttributionMethod, AttributionSettings
from explorer.analysis.occluder import fill_values
from explorer.analysis.passes import Cancel
from explorer.errors import Cancelled

_DRAWING = threading.Lock()  # Captum draws from the generators that all threads share


@dataclass(frozen=True, eq=False)
class Attributed:
    """What is attributed: a class's score of an image [1, C, H, W]; batch: images that fit into memory together."""

    model: ScoringModule
    image: Tensor
    target: int
    settings: AttributionSettings
    batch: int
    cancel: Cancel

    @property
    def deviation(self) -> float:
        """Of the noise that is added to the image."""
        return self.settings.noise * float(self.image.detach().max() - self.image.detach().min())


def gradient(job: Attributed) -> Tensor:
    """The derivative of the score by the pixels, by the rules that the model has."""
    return attr.Saliency(job.model).attribute(job.image, job.target, abs=False)


def input_x_gradient(job: Attributed) -> Tensor:
    """The derivative times the pixel."""
    return attr.InputXGradient(job.model).attribute(job.image, job.target)


def integrated_gradients(job: Attributed) -> Tensor:
    """The mean derivative on the way from the baseline, times the way (Sundararajan et al. 2017)."""
    method, settings = attr.IntegratedGradients(job.model), job.settings
    baseline = settings.baseline(job.image)
    return method.attribute(job.image, baseline, job.target, n_steps=settings.steps, internal_batch_size=job.batch)


def smoothgrad(job: Attributed) -> Tensor:
    """The mean derivative under noise (Smilkov et al. 2017)."""
    with drawn(job.settings.seed, job.image, job.cancel):
        found: Any = attr.NoiseTunnel(attr.Saliency(job.model)).attribute(
            job.image, nt_type="smoothgrad", nt_samples=job.settings.samples, nt_samples_batch_size=job.batch,
            stdevs=job.deviation, target=job.target, abs=False,
        )  # fmt: skip
    return found


def gradient_shap(job: Attributed) -> Tensor:
    """Expected gradients under noise, from baselines at random (Lundberg and Lee 2017; Erion et al. 2021)."""
    method, left = attr.GradientShap(job.model), job.settings.samples
    absent = [fill_values(job.image, fill) for fill in ("mean", "blur")]
    baselines = torch.cat([job.settings.baseline(job.image), *(each.expand_as(job.image) for each in absent)])
    total = torch.zeros_like(job.image)
    with drawn(job.settings.seed, job.image, job.cancel):
        for first in range(0, left, job.batch):
            count = min(job.batch, left - first)
            part: Any = method.attribute(job.image, baselines, n_samples=count, stdevs=job.deviation, target=job.target)
            total += part * (count / left)
    return total


def deeplift(job: Attributed) -> Tensor:
    """Contributions to the difference from the baseline, by the rescale rule (Shrikumar et al. 2017)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting forward, backward hooks and attributes")
        return attr.DeepLift(job.model).attribute(job.image, job.settings.baseline(job.image), job.target)


def gradcam(job: Attributed) -> Tensor:
    """Maps weighted by the mean derivative of the score by each, without the rectifier (Selvaraju et al. 2017)."""
    found: Any = attr.LayerGradCam(job.model, job.model.maps).attribute(job.image, job.target)
    return found


def layercam(job: Attributed) -> Tensor:
    """Maps weighted place by place by the positive part of the derivative (Jiang et al. 2021).

    Captum gives activation × derivative: where its sign is the activation's, the derivative is positive.
    """
    product: Any = attr.LayerGradientXActivation(job.model, job.model.maps).attribute(job.image, job.target)
    maps: Any = attr.LayerActivation(job.model, job.model.maps).attribute(job.image)
    return product.where(product * maps > 0, torch.zeros_like(product)).sum(1, keepdim=True)


CAPTUM: dict[AttributionMethod, Callable[[Attributed], Tensor]] = {
    "deconvnet": gradient, "guided": gradient, "saliency": gradient, "input_x_gradient": input_x_gradient,
    "integrated_gradients": integrated_gradients, "smoothgrad": smoothgrad, "gradient_shap": gradient_shap,
    "deeplift": deeplift, "gradcam": gradcam, "layercam": layercam,
}  # fmt: skip


@contextmanager
def drawn(seed: int, image: Tensor, cancel: Cancel) -> Generator[None]:
    """Within it torch and NumPy draw from this seed; their generators of before go on after it. image: on the device
    on which noise is drawn. Raises Cancelled."""
    while not _DRAWING.acquire(timeout=0.2):
        if cancel():
            raise Cancelled
    before, devices = np.random.get_state(), [image.device] if image.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):  # pyright: ignore[reportUnknownMemberType]
            torch.random.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
            np.random.seed(seed % 2**32)
            yield
    finally:
        np.random.set_state(before)
        _DRAWING.release()
