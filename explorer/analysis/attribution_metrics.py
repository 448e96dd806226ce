"""Which attribution the network itself agrees with: deletion and insertion, infidelity and sensitivity, and the share
of a map that lies on the object."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.attribution import Attribution, attribute, find_target
from explorer.analysis.attribution_model import scores
from explorer.analysis.attribution_settings import WITHOUT_SIGN, AttributionSettings
from explorer.analysis.occluder import fill_values, one_image
from explorer.analysis.occlusion import OnProgress
from explorer.analysis.outputs import Reading
from explorer.analysis.passes import Cancel, Runnable, passes_of
from explorer.errors import Cancelled, UserError

Curve = Literal["deletion", "insertion"]
CURVE_STEPS = 32


@dataclass(frozen=True, eq=False)
class PixelCurve:
    """The target's probability while pixels are taken from the picture, or put back, the most important first.

    shares: of the pixels, from 0 to 1; probabilities: as many. area: under the curve by trapezoids, from 0 to 1: low is
    good for deletion, high for insertion (Petsiuk et al. 2018, §4.3).
    """

    kind: Curve
    shares: np.ndarray
    probabilities: np.ndarray

    @property
    def area(self) -> float:
        """The mean of the curve."""
        return float(np.trapezoid(self.probabilities, self.shares))


def pixel_curve(
    network: Runnable,
    image: Tensor,
    found: Attribution,
    kind: Curve,
    settings: AttributionSettings | None = None,
    *,
    steps: int = CURVE_STEPS,
    progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> PixelCurve:
    """One curve of an attribution's map for its image [C, H, W] or [1, C, H, W].

    Deletion puts the settings' fill in the place of pixels; insertion starts from the picture out of focus and brings
    them back. Pixels of equal value go in a fixed random order. steps: how many parts the pixels are taken in.
    Raises UserError (an output that is not finite), Cancelled.
    """
    settings, image = settings or AttributionSettings(), one_image(image).detach()
    if not 1 <= steps <= found.map.size:
        raise UserError(f"steps={steps} is not from 1 to the {found.map.size} pixels of the map.")
    reading = find_target(network, image, found.target, settings).reading
    first, last = (image, settings.baseline(image)) if kind == "deletion" else (fill_values(image, "blur"), image)
    counts = pixel_counts(found.map.size, steps)
    ranks = torch.as_tensor(pixel_ranks(found.map), device=image.device)
    pictures = (torch.where(ranks < count, last, first) for count in counts.tolist())
    probabilities = _probabilities(network, image, pictures, len(counts), reading, found.target, progress, cancel)
    return PixelCurve(kind, counts / found.map.size, probabilities)


def pixel_counts(pixels: int, steps: int) -> np.ndarray:
    """How many of the pixels are changed at each point of a curve, from none to all."""
    return np.linspace(0, pixels, steps + 1).round().astype(int)


def pixel_ranks(values: np.ndarray) -> np.ndarray:
    """The place of each pixel in the order from the greatest value on; equal ones lie in no order of rows."""
    shuffled = np.random.default_rng(0).permutation(values.size)
    order = shuffled[np.argsort(-values.ravel()[shuffled], kind="stable")]
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[order] = np.arange(values.size)
    return ranks.reshape(values.shape)


def _probabilities(
    network: Runnable,
    image: Tensor,
    pictures: Iterator[Tensor],
    total: int,
    reading: Reading,
    target: int,
    progress: OnProgress | None,
    cancel: Cancel | None,
) -> np.ndarray:
    """The target's probability on each picture [1, C, H, W], run in batches."""
    passes, found, started = passes_of(network), list[float](), time.perf_counter()
    size = passes.batch_size(image)
    while len(found) < total:
        if cancel is not None and cancel():
            raise Cancelled
        batch = torch.cat([next(pictures) for _ in range(min(size, total - len(found)))])
        for returned, _, count in passes.forward(batch, None, cancel):
            found += map(float, reading.values(returned, count)[:, target])
        if progress is not None:
            progress(len(found), total, (time.perf_counter() - started) / len(found) * (total - len(found)))
    probabilities = np.array(found)
    if not np.isfinite(probabilities).all():
        raise UserError("The network's output is not finite while pixels are taken away: there is no curve.")
    return probabilities


# -- Captum's metrics -------------------------------------------------------------------------------------------------


def infidelity(
    network: Runnable,
    image: Tensor,
    found: Attribution,
    settings: AttributionSettings | None = None,
    *,
    samples: int = 40,
    cancel: Cancel | None = None,
) -> float:
    """How far an attribution is from telling what hiding a random square does to the score (Yeh et al. 2019, eq. 1).

    By Captum, with the values scaled so that they tell it best; as a share of the mean squared change of the score, so
    that 0 is all told, and 1 no better than values of zero. The squares have a quarter of the shorter side and the
    settings' fill. Derivatives are multiplied by the change of the pixels, contributions are summed over the square.
    Raises UserError, Cancelled.
    """
    from captum.metrics import infidelity as captums  # pyright: ignore[reportMissingTypeStubs]

    settings, image = settings or AttributionSettings(), one_image(image).detach()
    reading = find_target(network, image, found.target, settings).reading
    answers, generator = list[Tensor](), torch.Generator().manual_seed(settings.seed)
    score, baseline = _scorer(network, reading, found.target, cancel), settings.baseline(image)

    def answer(images: Tensor) -> Tensor:
        answers.append(score(images))
        return answers[-1]

    def hide(images: Tensor) -> tuple[Tensor, Tensor]:
        squares = torch.stack([_square(picture, generator) for picture in images]).to(images)
        hidden = torch.where(squares > 0, baseline, images)
        return (images - hidden if found.method in WITHOUT_SIGN else squares.expand_as(images)), hidden

    error: Any = captums(
        answer, hide, image, found.values.to(image)[None], n_perturb_samples=samples,
        max_examples_per_batch=passes_of(network).batch_size(image), normalize=True,
    )  # fmt: skip
    changes = torch.cat(answers[0::2]) - answers[1]  # Captum asks for hidden pictures and the clean one in turn
    if not changes.isfinite().all():
        raise UserError("The network's output is not finite with a square over the picture.")
    change = float(changes.square().mean())
    return float(error) / change if change > 0 else 0.0


def _square(picture: Tensor, generator: torch.Generator) -> Tensor:
    """1 in a square of a quarter of the shorter side somewhere in a picture [C, H, W], [1, H, W]."""
    rows, columns = picture.shape[-2:]
    side = max(1, min(rows, columns) // 4)
    top, left = (int(torch.randint(n - side + 1, (), generator=generator)) for n in (rows, columns))
    found = torch.zeros(1, rows, columns)
    found[:, top : top + side, left : left + side] = 1
    return found


def sensitivity(
    network: Runnable,
    image: Tensor,
    found: Attribution,
    settings: AttributionSettings | None = None,
    *,
    samples: int = 10,
    radius: float = 0.02,
    progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> float:
    """The most that an attribution changes under small noise, as a share of it (Yeh et al. 2019, eq. 5), by Captum.

    samples: of the noise; the picture as it is is attributed once more. radius: the greatest change of a pixel, in
    normalised values. progress hears of each attribution. Raises UserError, Cancelled.
    """
    from captum.metrics import sensitivity_max  # pyright: ignore[reportMissingTypeStubs]

    settings, image = settings or AttributionSettings(), one_image(image).detach()
    fixed = replace(settings, layer=found.layer or settings.layer)
    done, started = 0, time.perf_counter()

    def values(picture: Tensor) -> Tensor:
        nonlocal done
        answer = attribute(network, picture, found.method, found.target, fixed, cancel=cancel).values
        done += 1
        if progress is not None:
            progress(done, samples + 1, (time.perf_counter() - started) / done * (samples + 1 - done))
        return answer

    def explain(images: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pictures = images[0] if isinstance(images, tuple) else images
        return (torch.stack([values(picture) for picture in pictures]).to(image),)

    generator = torch.Generator().manual_seed(settings.seed)

    def shake(images: Tensor, radius: float) -> Tensor:
        noise = torch.rand(images.shape, generator=generator, dtype=torch.float64) * 2 - 1
        return images + (radius * noise).to(images)

    most: Any = sensitivity_max(explain, (image,), shake, perturb_radius=radius, n_perturb_samples=samples)
    return float(most)


def _scorer(network: Runnable, reading: Reading, target: int, cancel: Cancel | None) -> Callable[[Tensor], Tensor]:
    """Images [N, C, H, W] → the target's score, [N]."""
    passes = passes_of(network)

    def score(images: Tensor) -> Tensor:
        parts = [scores(returned, reading, count) for returned, _, count in passes.forward(images, None, cancel)]
        return torch.cat(parts)[:, target].detach()

    return score


# -- masks ------------------------------------------------------------------------------------------------------------


def share_on_mask(values: np.ndarray, mask: np.ndarray) -> float:
    """How much of the positive part of a map [H, W] lies on a mask [H, W] of booleans: the energy-based pointing game
    (Wang et al. 2020, §4.2). NaN where nothing is positive. Raises UserError, where the sizes differ."""
    if values.shape != mask.shape:
        sizes = "×".join(map(str, mask.shape)), "×".join(map(str, values.shape))
        raise UserError(f"mask of {sizes[0]} pixels does not fit a map of {sizes[1]}.")
    positive = values.astype(np.float64).clip(0)
    total = positive.sum()
    return float(positive[mask.astype(bool)].sum() / total) if total > 0 else float("nan")
