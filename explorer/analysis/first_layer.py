"""How sound the filters are that read the image: which are dead, and which alias (Zeiler and Fergus 2014, figure 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.filters import LayerFilters, filters_of
from explorer.analysis.layer_features import OnImages, features_of
from explorer.analysis.trunk import behind
from explorer.errors import UserError
from explorer.graph import ops
from explorer.graph.trace import TracedProgram

SPECTRUM = 64  # frequencies per axis at which a filter's spectrum is taken
WEAK = 0.05  # of the median channel's greatest activation: below it a filter counts as dead
ALIASED = 0.5  # share of the energy beyond which a filter counts as aliased
BANDS = 5  # of equal width, from 0 to half a cycle a pixel
_BEHIND = frozenset((*ops.ACTIVATIONS, "batch_norm", "layer_norm", "group_norm", "local_response_norm", "bias"))


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """The filters of a layer that reads the image, and figures of each, [channels].

    strongest: its greatest activation over the images, behind norm and rectifier (in `activation`). beyond: the share
    of its energy, without its mean, at frequencies that its stride cannot carry. bands: [channels, BANDS], the same
    energy by frequency.
    """

    layer: str
    activation: str
    stride: tuple[int, int]
    filters: LayerFilters
    strongest: np.ndarray
    beyond: np.ndarray
    bands: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a filter."""
        rows, columns = self.filters.weights.shape[2:]
        return rows, columns

    @cached_property
    def is_dead(self) -> np.ndarray:
        """Whether a filter never answers to any of the images, or hardly, bool [channels]."""
        return ~(self.strongest > WEAK * max(float(np.nanmedian(self.strongest)), 0.0))

    @cached_property
    def is_aliased(self) -> np.ndarray:
        """Whether most of a filter's energy is at frequencies that its stride cannot carry, bool [channels]."""
        return self.beyond > ALIASED

    @property
    def spectrum(self) -> np.ndarray:
        """The mean share of energy in each band, of the filters that are not dead, [BANDS]."""
        alive = self.bands[~self.is_dead]
        return (alive if len(alive) else self.bands).mean(0)


def first_layer(
    program: TracedProgram,
    images: Tensor,
    *,
    progress: OnImages | None = None,
    cancel: Callable[[], bool] | None = None,
) -> FirstLayer:
    """The convolution that reads the image, judged on images [N, C, H, W]. Raises UserError where there is none."""
    layer, filters = _reader(program)
    shown = behind(program.graph, program.graph[layer], _BEHIND).id
    strongest = torch.full((len(filters.weights),), -torch.inf)
    for _, maps in features_of(program, images, [shown], until=shown, progress=progress, cancel=cancel):
        strongest = torch.maximum(strongest, maps[shown].amax((0, 2, 3)).float().cpu())
    window = program.graph[layer].window
    stride = window.stride if window else (1, 1)
    energy = spectra(filters.weights)
    return FirstLayer(
        layer, shown, (int(stride[0]), int(stride[1])), filters, strongest.numpy(), beyond_nyquist(energy, stride),
        _by_band(energy),
    )  # fmt: skip


def _reader(program: TracedProgram) -> tuple[str, LayerFilters]:
    for layer in program.graph:
        found = filters_of(program, layer.id) if layer.kind == "conv" else None
        if found is not None and found.reads_image:
            return layer.id, found
    raise UserError("No convolution of this network reads the image itself, so it has no first-layer filters.")


def spectra(weights: np.ndarray) -> np.ndarray:
    """The energy of filters [O, I, rows, columns] by frequency, summed over their inputs: [O, SPECTRUM, SPECTRUM].

    Their means are taken off first: what a filter answers to an even area aliases at no stride.
    """
    centred = weights.astype(np.float64) - weights.mean((2, 3), keepdims=True, dtype=np.float64)
    size = (max(SPECTRUM, weights.shape[2]), max(SPECTRUM, weights.shape[3]))
    return (np.abs(np.fft.fft2(centred, size)) ** 2).sum(1)


def _frequencies(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes in cycles a pixel, of rows [R, 1] and columns [1, C]."""
    rows, columns = (np.abs(np.fft.fftfreq(n)) for n in energy.shape[1:])
    return rows[:, None], columns[None, :]


def beyond_nyquist(energy: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """The share of energy [O, R, C] beyond half a cycle a stride on either axis, [O]; 0 where there is none at all."""
    rows, columns = _frequencies(energy)
    carried = (rows <= 0.5 / stride[0]) & (columns <= 0.5 / stride[1])
    total = energy.sum((1, 2))
    return np.divide(energy[:, ~carried].sum(1), total, out=np.zeros_like(total), where=total > 0)


def _by_band(energy: np.ndarray) -> np.ndarray:
    """The share of energy [O, R, C] in each band of the greater of both frequencies, [O, BANDS]."""
    band = np.minimum((np.maximum(*_frequencies(energy)) * 2 * BANDS).astype(int), BANDS - 1)
    sums = np.stack([energy[:, band == number].sum(1) for number in range(BANDS)], 1)
    total = sums.sum(1, keepdims=True)
    return np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
