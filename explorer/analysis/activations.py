"""What the layers of a network answer to one image: feature maps, their statistics, and the predicted classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from explorer.errors import UserError
from explorer.execute import find_layer, first_tensor, run
from explorer.fields import State, follow
from explorer.graph import LayerGraph
from explorer.trace import TracedProgram

Statistic = Literal["mean", "maximum", "positive_share"]


# -- Feature maps -----------------------------------------------------------------------------------------------------


def feature_maps(program: TracedProgram, image: Tensor, layer: str, cancel: Callable[[], bool] | None = None) -> Tensor:
    """The maps of one layer for one image [C, H, W] or [1, C, H, W]: [channels, rows, columns].

    Vectors are maps of 1x1; channels-last layers and tokens are brought to this form. Raises UnknownNameError for an
    unknown layer and UserError for one without maps.
    """
    state = _states(program.graph)[find_layer(program.graph, layer).id]
    axes = _axes(state)
    if axes is None:
        shape = list(program.graph[layer].output_shape)
        raise UserError(f"layer={layer!r}: its output of shape {shape} has no channels, rows and columns to show.")
    image = image if image.dim() == 4 else image[None]
    if len(image) != 1:
        raise UserError(f"image of shape {list(image.shape)} is not one image.")
    output = first_tensor(run(program, image, until=layer, cancel=cancel).output)
    return _arranged(output.detach(), axes, state.map_size)


def layers_with_maps(graph: LayerGraph) -> list[str]:
    """Ids of the layers whose output can be shown as maps, in order."""
    states = _states(graph)
    return [layer.id for layer in graph if _axes(states[layer.id]) is not None]


def _states(graph: LayerGraph) -> dict[str, State]:
    return follow(graph)[0]


def _axes(state: State) -> str | None:
    """What the dimensions of an output mean, as letters: "NCHW", "NHWC", "NC", "NTC" …; None if it has no maps.

    Where the layout is not known, four dimensions are taken as [N, C, H, W] and two as [N, C].
    """
    known = "".join(state.layout or ())
    if sorted(known) in (["C", "H", "N", "W"], ["C", "N", "T"]):
        return known
    return {4: "NCHW", 2: "NC"}.get(len(state.shape))


def _arranged(output: Tensor, axes: str, map_size: tuple[int, int]) -> Tensor:
    """Dimensions in the order channels, rows, columns; tokens T laid out as the map that they come from."""
    maps = output.permute([axes.index(letter) for letter in "NCHWT" if letter in axes])[0]
    if "T" in axes and maps.shape[1] == prod(map_size):
        return maps.reshape(-1, *map_size)
    return maps.reshape(*maps.shape, *[1] * (3 - maps.dim()))


# -- Statistics -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Figures per channel, as arrays [channels], and of the layer.

    maximum, mean: NaN where the channel is not finite; positive_share: share of positions above 0; is_finite: no NaN
    or infinity anywhere in the map; is_dead: zero everywhere, as a rectified map that nothing excites.
    hoyer_sparsity: of the channels' total |activation|, 0 where all are equal, 1 where one channel holds everything
    (Hoyer, JMLR 2004, p. 1460). treves_rolls: of the same totals, (mean r)² / mean r², 1 where all are equal,
    1/channels where one holds everything (Treves and Rolls, Network 1991). Both NaN for a layer that is zero.
    channels_for_90_percent: how many of the strongest channels hold 90 % of the layer's total |activation|.
    """

    maximum: np.ndarray
    mean: np.ndarray
    positive_share: np.ndarray
    is_finite: np.ndarray
    is_dead: np.ndarray
    hoyer_sparsity: float
    treves_rolls: float
    channels_for_90_percent: int

    @property
    def dead_share(self) -> float:
        """Share of channels that are zero everywhere."""
        return float(self.is_dead.mean())

    def ranking(self, by: Statistic = "mean") -> np.ndarray:
        """Channel numbers, the strongest first; those that are not finite come last."""
        values = np.where(self.is_finite, getattr(self, by), -np.inf)
        return np.lexsort((-values, ~self.is_finite))


def channel_statistics(maps: Tensor) -> ChannelStatistics:
    """The statistics of maps [C, H, W]; channels that are not finite count in no figure of the layer."""
    flat = maps.detach().double().cpu().flatten(1)
    finite = flat.isfinite().all(1)
    clean = flat.where(finite[:, None], torch.nan)
    totals = flat[finite].abs().sum(1).numpy()
    return ChannelStatistics(
        maximum=clean.amax(1).numpy(),
        mean=clean.mean(1).numpy(),
        positive_share=(flat > 0).double().mean(1).numpy(),
        is_finite=finite.numpy(),
        is_dead=(flat == 0).all(1).numpy(),
        hoyer_sparsity=_hoyer(totals),
        treves_rolls=float(totals.mean() ** 2 / (totals**2).mean()) if totals.any() else float("nan"),
        channels_for_90_percent=_channels_for(0.9, totals),
    )


def _hoyer(totals: np.ndarray) -> float:
    """(√n − L1/L2) / (√n − 1)."""
    if not totals.any() or len(totals) == 1:
        return float("nan")
    root = np.sqrt(len(totals))
    return float((root - totals.sum() / np.linalg.norm(totals)) / (root - 1))


def _channels_for(share: float, totals: np.ndarray) -> int:
    if not totals.any():
        return 0
    held = np.cumsum(np.sort(totals)[::-1])
    return int(np.searchsorted(held, share * held[-1] * (1 - 1e-12))) + 1


@dataclass(frozen=True, eq=False)
class Histogram:
    """counts [bins] between edges [bins + 1]; not_finite: values that are in no bin."""

    counts: np.ndarray
    edges: np.ndarray
    not_finite: int


def histogram(maps: Tensor, bins: int = 50) -> Histogram:
    """How often each activation occurs in a layer or one of its channels (any shape)."""
    values = maps.detach().double().cpu().numpy().ravel()
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, bins=bins)
    return Histogram(counts, edges, values.size - finite.size)


# -- Predictions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes as (index, probability), best first; empty where the logits are not finite."""

    classes: tuple[tuple[int, float], ...]
    is_finite: bool


def top_classes(logits: Tensor, k: int = 5) -> Prediction:
    """The k most probable classes after softmax of logits [K], or [1, K], [1, K, 1, 1] of one image."""
    if logits.numel() != max(logits.shape, default=0):
        raise UserError(f"an output of shape {list(logits.shape)} is not one value per class of one image.")
    values = logits.detach().double().cpu().flatten().softmax(0)
    if not values.isfinite().all():
        return Prediction((), is_finite=False)
    best = values.topk(min(k, len(values)))
    return Prediction(tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)), is_finite=True)
