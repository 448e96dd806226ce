"""Correspondence measured with the named parts of the picture set: the same part hidden, and random places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.correspondence import PartChange, feature_changes, sign_change
from explorer.analysis.mean import Mean
from explorer.errors import Cancelled, UserError
from explorer.graph.trace import TracedProgram
from explorer.images.preprocess import Preprocessing
from explorer.training.dataset import CLASSES, PARTS, Item
from explorer.training.unseen import unseen_class, unseen_item
from explorer.types import Box, Size

GRAY_LEVEL = 128  # of hidden pixels
GROUP = 5  # pictures whose changes are compared with each other, as many as in the paper


@dataclass(frozen=True)
class CorrespondenceSettings:
    """What is hidden in which pictures.

    classes: whose parts. groups: of GROUP pictures each, for each part. size_px: of the pictures. seed: of the random
    places. pooled: see `sign_change`.
    """

    classes: tuple[str, ...] = CLASSES
    groups: int = 6
    size_px: int = 64
    seed: int = 0
    pooled: bool = False

    def __post_init__(self) -> None:
        for name in self.classes:
            if name not in CLASSES:
                raise UserError(f"{name!r} is not a class of the picture set: {', '.join(CLASSES)}.")
        if not 1 <= self.groups <= 100:
            raise UserError(f"groups={self.groups} is not from 1 to 100.")


def part_changes(
    program: TracedProgram,
    preprocessing: Preprocessing,
    layers: Sequence[str],
    settings: CorrespondenceSettings,
    *,
    progress: Callable[[int, int], object] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[PartChange]:
    """For each part of each class and each layer, both figures over unseen pictures in which the part is to be seen.

    program, preprocessing: of a network, and how it reads pictures. progress: parts done, and of how many.
    Raises as `feature_changes`, UserError without a layer.
    """
    if not layers:
        raise UserError("No layer of this network stands between all of the picture and all of the answer.")
    found, stop = list[PartChange](), cancel or (lambda: False)
    total = sum(len(PARTS[name]) for name in settings.classes)
    for name in settings.classes:
        items = _Items(name, settings.size_px)
        for part in PARTS[name]:
            showing = items.showing(part, settings.groups * GROUP, stop)
            figures = _figures(program, preprocessing, layers, showing, part, settings, stop)
            found += [PartChange(name, part, layer, *figures[layer]) for layer in layers]
            if progress is not None:
                progress(len(found) // len(layers), total)
    return found


class _Items:
    """The unseen items of a class, drawn when they are asked for."""

    def __init__(self, name: str, size_px: int) -> None:
        self.name, self.size_px, self.number, self.drawn = name, size_px, 0, list[Item]()

    def showing(self, part: str, count: int, stop: Callable[[], bool]) -> list[Item]:
        """The first that show a part. Raises Cancelled."""
        found = [item for item in self.drawn if item.parts[part].any()]
        while len(found) < count:
            if stop():
                raise Cancelled
            item = self._next()
            found += [item] if item.parts[part].any() else []
        return found[:count]

    def _next(self) -> Item:
        while unseen_class(self.number) != self.name:
            self.number += 1
        self.drawn.append(unseen_item(self.number, self.size_px))
        self.number += 1
        return self.drawn[-1]


def _figures(
    program: TracedProgram, preprocessing: Preprocessing, layers: Sequence[str], items: Sequence[Item], part: str,
    settings: CorrespondenceSettings, stop: Callable[[], bool],
) -> dict[str, tuple[Mean, Mean]]:  # fmt: skip
    """Both means over groups by layer: with the part hidden, and with random places hidden."""
    chance = Random(f"places {settings.seed} {items[0].name} {part}")
    figures: dict[str, tuple[list[float], list[float]]] = {layer: ([], []) for layer in layers}
    for start in range(0, len(items), GROUP):
        group = items[start : start + GROUP]
        boxes = [_box(item.parts[part]) for item in group]
        elsewhere = [_moved(box, item.mask, chance) for box, item in zip(boxes, group, strict=True)]
        whole = [item.image for item in group]
        hidden = [_hidden(item.image, box) for item, box in zip([*group, *group], [*boxes, *elsewhere], strict=True)]
        images, changed = (_read(program, preprocessing, pictures) for pictures in (whole, hidden))
        for layer, changes in feature_changes(program, images, changed, layers, stop).items():
            for of_place, change in zip(figures[layer], changes.split(len(group)), strict=True):
                of_place.append(sign_change(change, pooled=settings.pooled))
    return {layer: (Mean.of(np.array(same)), Mean.of(np.array(other))) for layer, (same, other) in figures.items()}


def _read(program: TracedProgram, preprocessing: Preprocessing, pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures uint8 [H, W, 3] as the network reads them."""
    weights, images = next(program.module.parameters(), None), torch.cat([preprocessing.tensor(p) for p in pictures])
    return images if weights is None else images.to(weights.device, weights.dtype)


def _hidden(picture: np.ndarray, box: Box) -> np.ndarray:
    """A copy with a gray box; painted on the picture, as its preparation may scale and crop."""
    copy, (top, left, bottom, right) = picture.copy(), box
    copy[top:bottom, left:right] = GRAY_LEVEL
    return copy


def _box(mask: np.ndarray) -> Box:
    """The smallest box (top, left, bottom, right) that holds a part."""
    rows, columns = np.nonzero(mask)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def _moved(box: Box, mask: np.ndarray, chance: Random) -> Box:
    """A box of the same size around a random pixel of the object, moved into the picture where it would leave it."""
    size: Size = box[2] - box[0], box[3] - box[1]
    centre = np.argwhere(mask)[chance.randrange(int(mask.sum()))]
    top, left = (
        min(max(0, int(middle) - extent // 2), length - extent)
        for middle, extent, length in zip(centre, size, mask.shape, strict=True)
    )
    return top, left, top + size[0], left + size[1]
