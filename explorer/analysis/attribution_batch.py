"""Attributions and deletion curves of many small pictures together: what `attribute` and `pixel_curve` give of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.attribution import Scored, as_map, captums_values, loss_by_pixel
from explorer.analysis.attribution_metrics import CURVE_STEPS, pixel_counts, pixel_ranks
from explorer.analysis.attribution_settings import AttributionMethod, AttributionSettings, refusal
from explorer.analysis.occluder import default_stride, default_window, singly, square_boxes
from explorer.analysis.passes import passes_of
from explorer.errors import UserError

DRAWING: tuple[AttributionMethod, ...] = ("smoothgrad", "gradient_shap")  # noise whose size depends on the picture


def attribution_maps(
    scored: Scored, method: AttributionMethod, settings: AttributionSettings, at_a_time: int
) -> np.ndarray:
    """The map of each picture's class, [N, H, W]. at_a_time: images that are run together; what is drawn depends on it.

    Raises UserError, where the method is not defined on the network or a value is not finite.
    """
    if (why := refusal(scored.program, method, settings.layer)) is not None:
        raise UserError(why)
    if method == "occlusion":
        maps = _losses(scored, settings, at_a_time)
    else:
        maps = np.stack([as_map(values, method) for values in _captums(scored, method, settings, at_a_time)])
    if not np.isfinite(maps).all():
        raise UserError(f"{method}: the attribution of a picture is not finite.")
    return maps


def deletion_areas(
    scored: Scored, maps: np.ndarray, settings: AttributionSettings, at_a_time: int, steps: int = CURVE_STEPS
) -> np.ndarray:
    """The area under each picture's deletion curve, [N], by its map of `maps`, [N, H, W]. Raises UserError."""
    counts = pixel_counts(maps[0].size, steps)
    taken = torch.as_tensor(counts, device=scored.images.device).view(-1, 1, 1, 1)

    def stages(image: Tensor, values: np.ndarray) -> Tensor:
        ranks = torch.as_tensor(pixel_ranks(values), device=image.device)
        return torch.where(ranks < taken, settings.baseline(image), image)

    found = _probabilities(scored, map(stages, singly(scored.images), maps), at_a_time)
    return np.trapezoid(found, counts / maps[0].size, axis=1)


def _captums(
    scored: Scored, method: AttributionMethod, settings: AttributionSettings, at_a_time: int
) -> Iterator[Tensor]:
    """The values of each picture, [C, H, W]."""
    together = 1 if method in DRAWING else at_a_time
    for start in range(0, len(scored.images), together):
        some = slice(start, start + together)
        part = Scored(scored.program, scored.reading, scored.images[some], scored.targets[some])
        yield from captums_values(part, method, settings, at_a_time).detach().float().cpu()


def _losses(scored: Scored, settings: AttributionSettings, at_a_time: int) -> np.ndarray:
    """What the squares of an occlusion cost, by pixel, of each picture, [N, H, W]."""
    size = scored.images.shape[2], scored.images.shape[3]
    window = default_window(min(size)) if settings.window is None else settings.window
    boxes = square_boxes(size, window, default_stride(window) if settings.stride is None else settings.stride)
    inside = torch.zeros(
        1 + boxes[..., 0].size, 1, *size, dtype=torch.bool
    )  # the first is the picture without a square
    for mask, (top, left, bottom, right) in zip(inside[1:], boxes.reshape(-1, 4).tolist(), strict=True):
        mask[:, top:bottom, left:right] = True
    inside = inside.to(scored.images.device)
    hidden = (torch.where(inside, settings.baseline(image), image) for image in singly(scored.images))
    found = _probabilities(scored, hidden, at_a_time)
    lost = (found[:, :1] - found[:, 1:]).reshape(-1, *boxes.shape[:2])
    return np.stack([loss_by_pixel(boxes, each, size) for each in lost])


def _probabilities(scored: Scored, variants: Iterable[Tensor], at_a_time: int) -> np.ndarray:
    """The probability of each picture's class in its variants, each picture's [K, C, H, W]; as [N, K]."""
    found = list[Tensor]()
    for images, targets in _joined(variants, scored.targets, at_a_time):
        for returned, _, count in passes_of(scored.program).forward(images, None, None):
            values = scored.reading.values(returned, count)
            found.append(values.gather(1, targets.cpu()[:, None])[:, 0])
    probabilities = torch.cat(found).view(len(scored.images), -1).numpy()
    if not np.isfinite(probabilities).all():
        raise UserError("The network's output is not finite for a picture with a part of it hidden.")
    return probabilities


def _joined(variants: Iterable[Tensor], targets: Tensor, at_a_time: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The variants of all pictures one behind the other with their classes, in batches of `at_a_time`."""
    images, classes = targets.new_empty(0), targets[:0]
    for each, target in zip(variants, targets, strict=True):
        images = torch.cat([images, each]) if len(images) else each
        classes = torch.cat([classes, target.expand(len(each))])
        while len(images) >= at_a_time:
            yield images[:at_a_time], classes[:at_a_time]
            images, classes = images[at_a_time:], classes[at_a_time:]
    if len(images):
        yield images, classes
