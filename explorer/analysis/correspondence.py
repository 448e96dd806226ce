"""Correspondence (Zeiler and Fergus 2014, §4.3 and table 1): whether hiding the same part changes features alike.

No layer is told of parts. If it knows them all the same, a hidden nose changes its features in a way that differs less
from picture to picture than what hiding other places changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from explorer.errors import UserError
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import OpCall, Rule, first_tensor, run

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
    maps, count = _features(program, torch.cat([images, hidden]), layers, cancel), len(images)
    return {layer: found[:count] - found[count:] for layer, found in maps.items()}


def _features(
    program: TracedProgram, images: Tensor, layers: Sequence[str], cancel: Callable[[], bool] | None
) -> dict[str, Tensor]:
    """The maps of several layers by one pass, [N, channels, rows, columns] by the layer as named."""
    ids = {layer: find_layer(program.graph, layer).id for layer in layers}
    layouts, found = {name: arrangement(program.graph, name) for name in ids.values()}, dict[str, Tensor]()

    def kept(name: str) -> Rule:
        def rule(call: OpCall) -> object:
            output = call.default()
            found[name] = layouts[name].maps(first_tensor(output)).detach().clone()  # what follows may write into it
            return output

        return rule

    with torch.inference_mode():
        run(program, images, rules={name: kept(name) for name in layouts}, cancel=cancel)
    return {layer: found[name] for layer, name in ids.items()}


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
