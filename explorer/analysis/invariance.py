"""How far features and the answer change as a picture moves (Zeiler and Fergus 2014, figure 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.attribution import find_target
from explorer.analysis.attribution_settings import AttributionSettings
from explorer.analysis.layer_features import features_of
from explorer.analysis.mean import Mean
from explorer.analysis.moving import Move, moved
from explorer.analysis.outputs import Output
from explorer.errors import UserError
from explorer.graph.layers import LayerGraph
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.run.execute import first_tensor

OnAmounts = Callable[[int, int], object]  # how many amounts are done, and how many there are


@dataclass(frozen=True, eq=False)
class Invariance:
    """distances: [layers, amounts, N], the Euclidean distance of a layer's features from those of the picture as it
    was, as a share of the length of these. probability: [amounts, N], of the class in `targets`.
    """

    move: Move
    amounts: tuple[float, ...]
    layers: tuple[str, ...]
    targets: tuple[int, ...]
    distances: np.ndarray
    probability: np.ndarray

    def distance_means(self, layer: str) -> list[Mean]:
        """The mean over the pictures at each amount."""
        return [Mean.of(values) for values in self.distances[self.layers.index(layer)]]

    def probability_means(self) -> list[Mean]:
        """The same of the probability."""
        return [Mean.of(values) for values in self.probability]


def invariance(
    program: TracedProgram,
    images: Tensor,
    layers: Sequence[str],
    move: Move,
    amounts: Sequence[float],
    targets: Sequence[int] | None = None,
    *,
    output: Output | None = None,
    progress: OnAmounts | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Invariance:
    """Move images [N, C, H, W] by amounts in `moving.UNITS`, and follow layers and the probability of their classes.

    targets: the classes, by default the most probable ones of the images as they are. Raises UnknownNameError for an
    unknown layer, UserError for a class that is none, or another number of them.
    """
    names = tuple(find_layer(program.graph, layer).id for layer in layers)
    reading = find_target(program, images[:1], None, AttributionSettings(output=output)).reading

    def answers(batch: Tensor) -> tuple[np.ndarray, list[np.ndarray]]:
        values, features = list[Tensor](), list[list[Tensor]]()
        for returned, maps in features_of(program, batch, names, cancel=cancel):
            values.append(reading.values(returned, len(next(iter(maps.values()), first_tensor(returned)))))
            features.append([maps[name].flatten(1).double().cpu() for name in names])
        joined = [torch.cat(parts).numpy() for parts in zip(*features, strict=True)]
        return torch.cat(values).numpy(), joined

    classes, still = answers(images)
    chosen = classes.argmax(1) if targets is None else _checked(targets, classes.shape)
    lengths = [np.linalg.norm(each, axis=1) for each in still]
    distances = np.empty((len(names), len(amounts), len(images)))
    probability = np.empty((len(amounts), len(images)))
    for place, amount in enumerate(amounts):
        now, features = answers(moved(images, move, amount))
        probability[place] = now[np.arange(len(images)), chosen]
        for number, (each, before, length) in enumerate(zip(features, still, lengths, strict=True)):
            apart = np.linalg.norm(each - before, axis=1)
            distances[number, place] = np.divide(apart, length, out=np.full_like(apart, np.nan), where=length > 0)
        if progress is not None:
            progress(place + 1, len(amounts))
    numbers = tuple(int(number) for number in chosen)
    return Invariance(move, tuple(amounts), names, numbers, distances, probability)


def pools(graph: LayerGraph) -> list[tuple[str, str]]:
    """Each layer of windows that are pooled, behind the one whose maps it pools: their ids."""
    return [
        (layer.inputs[0], layer.id)
        for layer in graph
        if layer.kind in ("max_pool", "avg_pool") and layer.is_map and layer.window and max(layer.window.kernel) > 1
        and layer.inputs[0] != graph.layers[0].id
    ]  # fmt: skip


def _checked(targets: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Raises UserError."""
    if len(targets) != shape[0]:
        raise UserError(f"targets: {len(targets)} classes for {shape[0]} images.")
    wrong = next((target for target in targets if not 0 <= target < shape[1]), None)
    if wrong is not None:
        raise UserError(f"targets: {wrong} is not a class: they go from 0 to {shape[1] - 1}.")
    return np.array(targets)
