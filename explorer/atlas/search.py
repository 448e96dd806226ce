"""Which units prefer a class or a part: by the labels of their strongest pictures, and by where in these they look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from explorer.analysis.top_nine import TopNine
from explorer.atlas.patches import Patch
from explorer.atlas.picture_sets import PictureSet
from explorer.errors import UnknownNameError, listed, shown
from explorer.images.preprocess import Preprocessing


@dataclass(frozen=True, eq=False)
class Preferences:
    """shares: by name of a class or part and then by channel, from 0 to 1."""

    shares: dict[str, dict[int, float]]

    def ranking(self, name: str) -> dict[int, float]:
        """The channels with their shares, those that prefer it most first. Raises UnknownNameError."""
        if name not in self.shares:
            raise UnknownNameError(f"{shown(name)} is on none of the pictures; there are {listed(self.shares)}.")
        return dict(sorted(self.shares[name].items(), key=lambda each: (-each[1], each[0])))


def class_preferences(pictures: PictureSet, top: TopNine) -> Preferences:
    """How many of a channel's strongest pictures are of each class, as a share of those that it has; a dead one prefers
    none."""
    numbers = np.unique(top.pictures[top.pictures >= 0])
    labels = {int(number): pictures.label(int(number)) for number in numbers}
    found: dict[str, dict[int, float]] = {name: {} for name in sorted(set(labels.values()) - {""})}
    for channel in range(top.channels):
        count = 0 if top.is_dead(channel) else top.count(channel)
        mine = [labels[int(number)] for number in top.pictures[channel, :count]]
        for name, shares in found.items():
            shares[channel] = mine.count(name) / len(mine) if mine else 0.0
    return Preferences(found)


def part_preferences(
    pictures: PictureSet, preprocessing: Preprocessing, units: Iterable[tuple[int, tuple[Patch, ...]]]
) -> Preferences:
    """How much of what excites a channel lies on each named part: of its projections' energy, the mean over its
    strongest pictures; of the area of its patches, where these have no projections.

    units: channels with their patches. preprocessing: how the pictures came to the network.
    """
    found: dict[str, dict[int, float]] = {}
    for channel, patches in units:
        for patch in patches:
            for part, mask in pictures.parts(patch.picture).items():
                shares = found.setdefault(part, {})
                shares[channel] = shares.get(channel, 0.0) + _share(patch, _seen(preprocessing, mask)) / len(patches)
    return Preferences(dict(sorted(found.items())))


def _seen(preprocessing: Preprocessing, mask: np.ndarray) -> np.ndarray:
    """A mask of a picture as the network sees it, bool [rows, columns] of its input."""
    return preprocessing.view(np.repeat(mask[..., None], 3, -1).astype(np.uint8) * 255)[..., 0] > 127


def _share(patch: Patch, mask: np.ndarray) -> float:
    top, left, bottom, right = patch.box
    inside = mask[top:bottom, left:right]
    if patch.projection is None:
        return float(inside.mean()) if inside.size else 0.0
    energy = np.square(patch.projection, dtype=np.float64).sum(-1)
    total = float(energy.sum())
    return float(energy[inside].sum()) / total if total else 0.0
