"""Correspondence (Zeiler and Fergus 2014, §4.3 and table 1): whether hiding the same part changes features alike.

No layer is told of parts. If it knows them all the same, a hidden nose changes its features in a way that differs less
from picture to picture than what hiding other places changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from explorer.analysis.layer_features import features_of
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
    """ε = features of the images - features with a part hidden, [N, channels, rows, columns], by layer as named.

    images, hidden: [N, C, H, W] of the network's normalised values. layers: ids, or paths of modules. Raises
    UserError (images that do not pair, a layer without maps), UnknownNameError (a layer), Cancelled.
    """
    if images.shape != hidden.shape or images.dim() != 4:
        raise UserError(f"images of shape {list(images.shape)} and {list(hidden.shape)} are not pairs [N, C, H, W].")
    ids, count = {layer: find_layer(program.graph, layer).id for layer in layers}, len(images)
    batches = [maps for _, maps in features_of(program, torch.cat([images, hidden]), list(ids.values()), cancel=cancel)]
    found = {layer: torch.cat([maps[name] for maps in batches]) for layer, name in ids.items()}
    return {layer: maps[:count] - maps[count:] for layer, maps in found.items()}


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
