"""Attributions by Captum on a traced program: each a tensor [N, C, H, W], or a layer's maps [N, 1, rows, columns]."""

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
from explorer.analysis.occluder import fill_values, singly
from explorer.analysis.passes import Cancel
from explorer.errors import Cancelled

_DRAWING = threading.Lock()  # Captum draws from the generators that all threads share


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
    with drawn(job.settings.seed, job.images, job.cancel):
        found: Any = attr.NoiseTunnel(attr.Saliency(job.model)).attribute(
            job.images, nt_type="smoothgrad", nt_samples=job.settings.samples, nt_samples_batch_size=job.batch,
            stdevs=job.deviation, target=job.targets, abs=False,
        )  # fmt: skip
    return found


def gradient_shap(job: Attributed) -> Tensor:
    """Expected gradients under noise, from baselines at random (Lundberg and Lee 2017; Erion et al. 2021)."""
    method, left = attr.GradientShap(job.model), job.settings.samples
    absent = [fill_values(job.images, fill) for fill in ("mean", "blur")]
    baselines = torch.cat([job.baselines, *(each.expand_as(job.images) for each in absent)])
    total = torch.zeros_like(job.images)
    with drawn(job.settings.seed, job.images, job.cancel):
        for first in range(0, left, job.batch):
            count = min(job.batch, left - first)
            part: Any = method.attribute(
                job.images, baselines, n_samples=count, stdevs=job.deviation, target=job.targets
            )
            total += part * (count / left)
    return total


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
