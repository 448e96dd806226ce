"""What a pass takes on this machine, the whole of it or regions alone: a model of four figures, measured here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.analysis.incremental.patches import cut_out
from explorer.analysis.incremental.reach import MERGED, WINDOWED, full_macs
from explorer.analysis.incremental.spans import Stretch
from explorer.analysis.latency import synchroniser
from explorer.graph.layers import Layer, LayerGraph

BYTES = 4  # of a value, in single precision
ROUNDS = 3


@dataclass(frozen=True)
class Machine:
    """How fast a device is: multiply-accumulates a second of plain and of depthwise convolutions, bytes a second that
    pass through an activation, and seconds to cut a piece out of a map or to write it over one."""

    macs_per_s: float
    depthwise_macs_per_s: float
    bytes_per_s: float
    piece_s: float

    def seconds(self, graph: LayerGraph, shares: Mapping[str, float] | None = None) -> float:
        """What one image of a batch takes. shares: how much is computed of the layers that are not computed whole."""
        known = shares or {}
        return sum(
            self._layer(layer) * known.get(layer.id, 1.0) + (self._cutting(layer, known) if layer.id in known else 0.0)
            for layer in graph
        )

    def _layer(self, layer: Layer) -> float:
        groups = layer.numbers("groups")
        depthwise = bool(groups) and groups[0] > 1 and groups[0] == layer.input_shapes[0][1]
        macs = full_macs(layer) / (self.depthwise_macs_per_s if depthwise else self.macs_per_s)
        return macs + _bytes(layer) / self.bytes_per_s

    def _cutting(self, layer: Layer, shares: Mapping[str, float]) -> float:
        """A region is cut from the clean map with what surrounds it, and the change is written over it."""
        window = layer.window
        if layer.kind not in (*MERGED, *WINDOWED) or (window is not None and window.kernel == window.stride == (1, 1)):
            return 0.0
        read = sum(shares.get(name, 1.0) * BYTES * prod(shape)
                   for name, shape in zip(layer.inputs, layer.input_shapes, strict=True))  # fmt: skip
        return 2 * len(layer.inputs) * self.piece_s + 2 * read / self.bytes_per_s


def _bytes(layer: Layer) -> int:
    return BYTES * sum(map(prod, layer.outputs))


def machine(device: torch.device) -> Machine:
    """The figures of a device, measured in some ten milliseconds at the first call."""
    return _measured(device, torch.get_num_threads())


@lru_cache(maxsize=16)
def _measured(device: torch.device, _threads: int) -> Machine:
    wait = synchroniser(device)
    maps = torch.zeros(4, 64, 28, 28, device=device).contiguous(memory_format=torch.channels_last)
    plain, depthwise = torch.zeros(64, 64, 3, 3, device=device), torch.zeros(64, 1, 3, 3, device=device)
    pieces = 32
    places = Stretch(np.arange(pieces) % 20, 8)

    def cut() -> Tensor:
        return cut_out(maps[:1], places, places, (2, 3))

    with torch.no_grad():
        dense = _seconds(lambda: F.conv2d(maps, plain, padding=1), wait)
        grouped = _seconds(lambda: F.conv2d(maps, depthwise, padding=1, groups=64), wait)
        through = _seconds(lambda: F.relu(maps), wait)
        each = _seconds(cut, wait) / pieces
    values = maps.numel()
    return Machine(values * 64 * 9 / dense, values * 9 / grouped, BYTES * values / through, each)


def _seconds(work: Callable[[], Tensor], wait: Callable[[], object]) -> float:
    """The least that it takes; the first time, when kernels are chosen, is left out."""
    work()
    found: list[float] = []
    for _ in range(ROUNDS):
        wait()
        began = time.perf_counter()
        work()
        wait()
        found.append(time.perf_counter() - began)
    return max(min(found), 1e-7)
