"""How features grow over a training (Zeiler and Fergus 2014, figure 4): what excites each channel most after an epoch,
and how near each layer is to what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.deconvnet import Projection, project_units
from explorer.analysis.layer_features import features_of
from explorer.analysis.top_nine import TopNine
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram

SETTLED = 0.9  # similarity to the last epoch from which a layer counts as settled

OnEpochs = Callable[[int, int], object]  # how many epochs are done, and how many there are


@dataclass(frozen=True, eq=False)
class Evolution:
    """A network after some epochs, on the same images. similarity: [epochs, layers], the linear CKA of a layer's
    features with those after the last epoch. top: by epoch and layer, the images that excite each channel most.
    """

    epochs: tuple[int, ...]
    layers: tuple[str, ...]
    similarity: np.ndarray
    top: Mapping[tuple[int, str], TopNine]

    def settled(self, layer: str) -> int:
        """The first epoch from which on a layer's similarity to the last is at least SETTLED; at the latest the last,
        also of a layer that is constant in the end, and like nothing."""
        below = np.flatnonzero(self.similarity[:-1, self.layers.index(layer)] < SETTLED)
        return self.epochs[int(below[-1]) + 1 if len(below) else 0]

    def strongest(self, layer: str, count: int) -> tuple[int, ...]:
        """The channels with the greatest activations after the last epoch."""
        values = self.top[self.epochs[-1], layer].values[:, 0]
        return tuple(int(channel) for channel in np.argsort(-values, kind="stable")[:count])


@dataclass(frozen=True, eq=False)
class GrownUnit:
    """What excites a channel most after an epoch: the number of the image, and the unit's way back to its pixels."""

    epoch: int
    channel: int
    image: int
    projection: Projection


def evolution(
    programs: Mapping[int, TracedProgram],
    images: Tensor,
    layers: Sequence[str],
    *,
    progress: OnEpochs | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Evolution:
    """Follow layers of a network, given by epoch, over images [N, C, H, W]. Raises UserError for a single image."""
    if len(images) < 2:
        raise UserError("How similar features are can be told of two images at least.")
    epochs, top, grams = tuple(sorted(programs)), dict[tuple[int, str], TopNine](), list[dict[str, np.ndarray]]()
    for done, epoch in enumerate(epochs, start=1):
        features: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        for _, maps in features_of(programs[epoch], images, layers, cancel=cancel):
            for layer, found in maps.items():
                features[layer].append(found.cpu())
        whole = {layer: torch.cat(parts) for layer, parts in features.items()}
        top |= {(epoch, layer): _top(found) for layer, found in whole.items()}
        grams.append({layer: centred_gram(found.flatten(1).double().numpy()) for layer, found in whole.items()})
        if progress is not None:
            progress(done, len(epochs))
    similarity = np.array([[cka(one[layer], grams[-1][layer]) for layer in layers] for one in grams])
    return Evolution(epochs, tuple(layers), similarity, top)


def _top(maps: Tensor) -> TopNine:
    values, positions = maps.flatten(2).max(2)
    return TopNine.of_maxima(values.numpy(), positions.numpy(), np.arange(len(maps)), maps.shape[3])


def centred_gram(features: np.ndarray) -> np.ndarray:
    """The inner products of features [N, D] from which their mean is taken, [N, N]."""
    centred = features - features.mean(0)
    return centred @ centred.T


def cka(one: np.ndarray, other: np.ndarray) -> float:
    """Linear CKA of two representations by their `centred_gram`s: 1 where they are the same but for a rotation and a
    factor, 0 where they have nothing in common or one is constant (Kornblith et al., ICML 2019, equation 3)."""
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / norm if norm > 0 else 0.0


def grown_units(
    found: Evolution,
    programs: Mapping[int, TracedProgram],
    images: Tensor,
    layer: str,
    channels: Sequence[int],
    *,
    progress: OnEpochs | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[GrownUnit]:
    """For each epoch, the unit that each of some channels answers to most, projected back; a channel that no image
    excites is left out."""
    units = list[GrownUnit]()
    for done, epoch in enumerate(found.epochs, start=1):
        top = found.top[epoch, layer]
        for channel in channels:
            image, place = int(top.pictures[channel, 0]), (int(top.rows[channel, 0]), int(top.columns[channel, 0]))
            if image >= 0:
                wanted = [(channel, place)]
                (back,) = project_units(programs[epoch], images[image : image + 1], layer, wanted, cancel=cancel)
                units.append(GrownUnit(epoch, channel, image, back))
        if progress is not None:
            progress(done, len(found.epochs))
    return units
