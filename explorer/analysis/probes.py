"""How well a linear classifier tells classes from each layer's features (Zeiler and Fergus 2014, table 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from explorer.analysis.layer_features import OnImages, pooled_features
from explorer.analysis.mean import Mean
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram

PENALTY = 0.01  # on the squared weights, a picture


@dataclass(frozen=True)
class LayerProbe:
    """The share of pictures that a linear classifier gets right, which reads `features` numbers of each picture."""

    layer: str
    features: int
    accuracy: Mean


def linear_probes(
    program: TracedProgram,
    images: Tensor,
    labels: Tensor,
    train_items: int,
    layers: Sequence[str],
    *,
    progress: OnImages | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[LayerProbe]:
    """Fit a classifier to each layer, by id, on the first `train_items` images [N, C, H, W]; judge it on the others.

    labels: class numbers [N]. A layer's features are the means of its maps over their positions. Raises UserError where
    no image is left to fit on or to judge, or features are not finite.
    """
    if not 1 <= train_items < len(images):
        raise UserError(f"train_items={train_items} leaves none of {len(images)} pictures to fit on, or to judge.")
    found = pooled_features(program, images, layers, progress=progress, cancel=cancel)
    numbers, probes = labels.cpu().numpy(), list[LayerProbe]()
    for layer, features in found.items():
        if not features.isfinite().all():
            raise UserError(f"layer={layer!r}: its features are not finite, no classifier can be fitted to them.")
        known, asked = np.split(features.numpy(), [train_items])
        hits = ridge_answers(known, numbers[:train_items], asked) == numbers[train_items:]
        probes.append(LayerProbe(layer, features.shape[1], Mean.of(hits.astype(np.float64))))
    return probes


def ridge_answers(features: np.ndarray, labels: np.ndarray, asked: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """The classes [M] that ridge regression on 0 and 1 for each class, fitted to features [N, D], gives others [M, D].

    Each feature is brought to mean 0 and deviation 1 over the N first.
    """
    mean, deviation = features.mean(0), features.std(0)
    scale = np.where(deviation > 0, deviation, 1.0)
    x, goals = (features - mean) / scale, np.eye(int(labels.max()) + 1)[labels]
    values, directions = np.linalg.eigh(x.T @ x)
    along = directions.T @ (x.T @ (goals - goals.mean(0)))
    weights = directions @ (along / (values + penalty * len(x))[:, None])
    return ((asked - mean) / scale @ weights + goals.mean(0)).argmax(1)
