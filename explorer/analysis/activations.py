"""What the layers of a network answer to one image: feature maps, their statistics, and the predicted classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.occluder import one_image
from explorer.analysis.outputs import Ends, Output, Reading, read
from explorer.analysis.passes import Runnable, passes_of
from explorer.errors import UserError
from explorer.graph.layers import LayerGraph
from explorer.graph.names import find_layer
from explorer.receptive_field.map_layout import arrangement, arrangements
from explorer.run.execute import first_tensor, run
from explorer.run.plain import PlainNetwork

Statistic = Literal["mean", "maximum", "positive_share"]


# -- Feature maps -----------------------------------------------------------------------------------------------------


def feature_maps(program: Runnable, image: Tensor, layer: str, cancel: Callable[[], bool] | None = None) -> Tensor:
    """The maps of one layer for one image [C, H, W] or [1, C, H, W]: [channels, rows, columns].

    layer: an id, or the path of a module whose output is meant, as "layer4";
    of a network that cannot be traced, always the path of a module.
    Vectors are maps of 1x1; channels-last layers and tokens are brought to this form. Raises UnknownNameError for an
    unknown layer and UserError for one without maps.
    """
    if isinstance(program, PlainNetwork):
        passes = passes_of(program)
        ((_, maps, _),) = passes.forward(one_image(image), passes.find(layer), cancel)
        assert maps is not None
        return maps[0]
    name = find_layer(program.graph, layer).id
    found = arrangement(program.graph, name)
    output = first_tensor(run(program, one_image(image), until=name, cancel=cancel).output)
    return found.maps(output.detach())[0]


def layers_with_maps(graph: LayerGraph) -> list[str]:
    """Ids of the layers whose output can be shown as maps, in order."""
    return list(arrangements(graph))


def channels_of(graph: LayerGraph, layer: str) -> int:
    """How many channels the output of a layer has, by its id; 0 where it has none that can be told apart."""
    found = arrangements(graph).get(layer)
    return graph[layer].output_shape[found.axes.index("C")] if found and "C" in found.axes else 0


# -- Statistics -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Figures per channel, as arrays [channels], and of the layer.

    maximum, mean: NaN where the channel is not finite; positive_share: share of positions above 0; is_finite: no NaN
    or infinity anywhere in the map; is_dead: zero everywhere, as a rectified map that nothing excites.
    hoyer_sparsity: of the channels' total |activation|, 0 where all are equal, 1 where one channel holds everything
    (Hoyer, JMLR 2004, p. 1460). treves_rolls: of the same totals, (mean r)² / mean r², 1 where all are equal,
    1/channels where one holds everything (Treves and Rolls, Runnable 1991). Both NaN for a layer that is zero.
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


PART = 2**22  # values that are looked at together: float64 takes twice the memory of the maps


def channel_statistics(maps: Tensor) -> ChannelStatistics:
    """The statistics of maps [C, H, W]; channels that are not finite count in no figure of the layer."""
    flat = maps.detach().flatten(1)
    parts = torch.split(flat, max(1, PART // flat.shape[1]))
    maximum, mean, positive, total = np.concatenate([_of_channels(part.double().cpu()) for part in parts], axis=1)
    finite = np.isfinite(total)
    totals = total[finite]
    return ChannelStatistics(
        maximum=np.where(finite, maximum, np.nan),
        mean=np.where(finite, mean, np.nan),
        positive_share=positive,
        is_finite=finite,
        is_dead=total == 0,
        hoyer_sparsity=_hoyer(totals),
        treves_rolls=float(totals.mean() ** 2 / (totals**2).mean()) if totals.any() else float("nan"),
        channels_for_90_percent=_channels_for(0.9, totals),
    )


def _of_channels(values: Tensor) -> np.ndarray:
    """Maximum, mean, share above 0 and total |activation| of channels [C, positions]: [4, C]."""
    positive = (values > 0).double().mean(1)
    return torch.stack([values.amax(1), values.mean(1), positive, values.abs().sum(1)]).numpy()


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
    return int(np.searchsorted(held, share * float(held[-1]) * (1 - 1e-12))) + 1


@dataclass(frozen=True, eq=False)
class Histogram:
    """counts [bins] between edges [bins + 1]; not_finite: values that are in no bin."""

    counts: np.ndarray
    edges: np.ndarray
    not_finite: int


def histogram(maps: Tensor, bins: int = 50) -> Histogram:
    """How often each activation occurs in a layer or one of its channels (any shape)."""
    values = maps.detach().float().cpu().numpy().ravel()
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, bins=bins)
    return Histogram(counts, edges.astype(np.float64), values.size - finite.size)


# -- Predictions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes as (index, probability), best first; empty where the output is not finite.

    output, tensor: how probabilities were made of which output, as of an `OcclusionMap`.
    """

    classes: tuple[tuple[int, float], ...]
    is_finite: bool
    output: Output = "softmax"
    tensor: str = ""


def predict(
    program: Runnable,
    image: Tensor,
    k: int = 5,
    output: Output | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Prediction:
    """The k most probable classes for one image [C, H, W] or [1, C, H, W].

    output: how the network's values become probabilities, by default found out. Raises UserError where the network
    names no classes, Cancelled.
    """
    with Ends() as ends:
        ((returned, _, _),) = passes_of(program).forward(one_image(image), None, cancel)
    reading = read(returned, 1, ends, output)
    return ranked(reading.values(returned, 1)[0], k, reading)


def top_classes(logits: Tensor, k: int = 5, output: Output | None = None) -> Prediction:
    """The k most probable classes of an output [K], or [1, K], [1, K, 1, 1] of one image.

    output: how values become probabilities. By default one alone is a logit (sigmoid), several go through softmax
    unless they are a distribution already; `predict` looks at the network's end as well. Raises UserError.
    """
    if logits.numel() != max(logits.shape, default=0):
        raise UserError(f"an output of shape {list(logits.shape)} is not one value per class of one image.")
    values = logits.detach().reshape(1, -1)
    reading = read(values, 1, asked=output)
    return ranked(reading.values(values, 1)[0], k, reading)


def ranked(values: Tensor, k: int, reading: Reading) -> Prediction:
    """The k most probable of the values [classes] of one image."""
    if not values.isfinite().all():
        return Prediction((), False, reading.output, reading.tensor)
    best = values.topk(min(k, len(values)))
    ranked = zip(best.indices, best.values, strict=True)
    classes = tuple((int(number), float(value)) for number, value in ranked)
    return Prediction(classes, True, reading.output, reading.tensor)
