"""Correspondence (Zeiler and Fergus 2014, §4.3 and table 1): whether hiding the same part changes features alike.

No layer is told of parts. If it knows them all the same, a hidden nose changes its features in a way that differs less
from picture to picture than what hiding other places changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.layer_features import features_of
from explorer.analysis.mean import Mean
from explorer.errors import UserError
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram

ROUNDING = 1e-5  # of a layer's greatest change: what is smaller is no change, but the order of sums


def feature_changes(
    program: TracedProgram,
    images: Tensor,
    hidden: Tensor,
    layers: Sequence[str],
    cancel: Callable[[], bool] | None = None,
) -> dict[str, Tensor]:
    """ε = features of the images - features with a part hidden, [k N, channels, rows, columns], by layer as named.

    images: [N, C, H, W] of the network's normalised values. hidden: [k N, C, H, W], the same k times over, each time
    with other parts hidden. layers: ids, or paths of modules. Raises UserError (images that do not pair, a layer
    without maps), UnknownNameError (a layer), Cancelled.
    """
    if images.dim() != 4 or images.shape[1:] != hidden.shape[1:] or not len(images) or len(hidden) % len(images):
        raise UserError(f"images of shape {list(images.shape)} and {list(hidden.shape)} are not pairs [N, C, H, W].")
    ids, count = {layer: find_layer(program.graph, layer).id for layer in layers}, len(images)
    batches = [maps for _, maps in features_of(program, torch.cat([images, hidden]), list(ids.values()), cancel=cancel)]
    found = {layer: torch.cat([maps[name] for maps in batches]) for layer, name in ids.items()}
    times = len(hidden) // count
    return {layer: maps[:count].repeat(times, 1, 1, 1) - maps[count:] for layer, maps in found.items()}


def sign_change(changes: Tensor, *, pooled: bool = False) -> float:
    """The share of features of whose changes [N, channels, …] the signs differ, the mean over all pairs of pictures.

    It is Δ of equation 5 over its pairs and features: 0 where all pictures change alike. A sign is -1, 0 or 1.
    pooled: of the mean over places, so that it does not matter where in the picture the part is. Raises UserError
    for fewer than two pictures.
    """
    if len(changes) < 2:
        raise UserError(f"{len(changes)} picture: changes are compared between at least two.")
    changes = changes.flatten(2).mean(2) if pooled and changes.dim() > 2 else changes.flatten(1)
    signs = torch.where(changes.abs() <= ROUNDING * changes.abs().max(), 0, changes.sign())
    first, second = torch.triu_indices(len(signs), len(signs), offset=1)
    return float((signs[first] != signs[second]).double().mean())


@dataclass(frozen=True)
class PartChange:
    """How far the changes of a layer's features differ between pictures, 0 to 1, as means over groups.

    same: with the same part hidden. random: with a square of that size over a random place of each object.
    """

    name: str
    part: str
    layer: str
    same: Mean
    random: Mean


@dataclass(frozen=True)
class LayerChange:
    """A layer over all parts; difference: of same and random by part, so that below 0 it knows of parts."""

    layer: str
    same: Mean
    random: Mean
    difference: Mean


def over_parts(found: Sequence[PartChange]) -> list[LayerChange]:
    """Each layer over all its parts, which are paired: the error is that of the mean over parts."""
    return [
        LayerChange(layer, *(Mean.of(np.array(values)) for values in zip(*_pairs(found, layer), strict=True)))
        for layer in dict.fromkeys(each.layer for each in found)
    ]


def _pairs(found: Sequence[PartChange], layer: str) -> Iterator[tuple[float, float, float]]:
    for each in found:
        if each.layer == layer:
            yield each.same.mean, each.random.mean, each.same.mean - each.random.mean
