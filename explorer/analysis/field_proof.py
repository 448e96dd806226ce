"""Proof of the receptive fields of a network: each row and each column of the image is changed alone, and seen to reach
some units of every layer. The boxes that this gives are compared with the computed ones, unit by unit.

A change spreads through the network's wiring (see `sensitivity`), as far as the gradient of a positive network has its
support; the computed fields have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.passes import Cancel
from explorer.analysis.sensitivity import Wiring
from explorer.analysis.structure import Analysis, LayerReport
from explorer.errors import UserError
from explorer.receptive_field.report import ReceptiveField
from explorer.types import Box, Cell, Size

Verdict = Literal["equal", "within", "differs", "untried"]
PASS_BYTES = 32 * 2**20  # of the largest output, in one pass
PASS_IMAGES = 32
_UNSEEN = 2**30


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A unit whose box is not the computed one; which: "strict" or "local". A box of zeros sees nothing."""

    unit: Cell
    which: str
    computed: Box
    found: Box


@dataclass(frozen=True, slots=True)
class LayerProof:
    """verdict: "equal" where all units' boxes are the computed ones; "within" where they lie inside them, for a layer
    whose field is said to be an upper bound; "differs" with the first unit where that is not so; "untried" where the
    wiring has an operation up to it whose reach is not known, or makes no use of its output. units: how many were
    compared."""

    layer: str
    verdict: Verdict
    units: int
    counterexample: Counterexample | None = None


@dataclass(frozen=True)
class FieldProof:
    """The proofs of all layers whose units have a row and a column, in order. directions: rows and columns tried."""

    layers: tuple[LayerProof, ...]
    directions: int

    def of(self, verdict: Verdict) -> tuple[LayerProof, ...]:
        """The layers with this verdict."""
        return tuple(proof for proof in self.layers if proof.verdict == verdict)

    @property
    def units(self) -> int:
        """How many units were compared in all."""
        return sum(proof.units for proof in self.layers)


def prove_fields(
    analysis: Analysis, progress: Callable[[int, int], object] | None = None, cancel: Cancel | None = None
) -> FieldProof:
    """Compare the boxes of all units of all maps; no weight is read, nor anything of their size allocated.

    progress(rows and columns done, in all) is called after each pass, cancel asked before each layer. Raises UserError
    where the network cannot run, Cancelled.
    """
    if failure := analysis.graph.failure:
        raise UserError(f"the network cannot run: it fails at {failure.path or 'its input'}: {failure.reason}")
    maps = [layer for layer in analysis.layers if layer.is_map and layer.kind != "input"]
    has_local = any(_has_local(layer) for layer in maps)
    size = analysis.graph.layers[0].output_shape[1:]
    count = (size[1] + size[2]) * (1 + has_local)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, count)

    sizes = {layer.id: _size(layer) for layer in maps}
    trial = _Trial(Wiring(analysis.program), sizes, (size[0], size[1], size[2]), report, cancel)
    strict = trial.boxes(local=False)
    local = trial.boxes(local=True) if has_local else strict
    tried = trial.tried - trial.wiring.untried
    return FieldProof(tuple(_compared(layer, strict, local, layer.id in tried) for layer in maps), count)


def _has_local(layer: LayerReport) -> bool:
    """Whether it has a local field of its own: a gate has none, as it has no place in the map that it weighs."""
    return not layer.local_receptive_field.is_global and layer.local_receptive_field is not layer.receptive_field


def _size(layer: LayerReport) -> Size:
    return layer.output_shape[2], layer.output_shape[3]


def _compared(
    layer: LayerReport, strict: dict[str, np.ndarray], local: dict[str, np.ndarray], tried: bool
) -> LayerProof:
    count = layer.output_shape[2] * layer.output_shape[3]
    if not tried:
        return LayerProof(layer.id, "untried", 0)
    verdict: Verdict = "equal"
    compared = [("strict", layer.receptive_field, strict[layer.id])]
    compared += [("local", layer.local_receptive_field, local[layer.id])] if _has_local(layer) else []
    for which, computed, found in compared:
        said = computed.every_box(_size(layer))
        wrong = (said != found).any(0)
        if layer.certainty != "exact":
            verdict = "within" if wrong.any() else verdict
            wrong = ~_holds(said, found)
        if wrong.any():
            return LayerProof(layer.id, "differs", count, _counterexample(which, computed, found, wrong))
    return LayerProof(layer.id, verdict, count)


def _holds(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Where boxes lie within others, [rows, columns]; one that sees nothing lies within any."""
    inside = (outer[:2] <= inner[:2]).all(0) & (outer[2:] >= inner[2:]).all(0)
    return inside | (inner[2] == 0)


def _counterexample(which: str, computed: ReceptiveField, found: np.ndarray, wrong: np.ndarray) -> Counterexample:
    row, column = np.argwhere(wrong)[0].tolist()
    top, left, bottom, right = found[:, row, column].tolist()
    return Counterexample((row, column), which, computed.box(row, column), (top, left, bottom, right))


@dataclass
class _Trial:
    """Passes over all rows and columns of the image: what they reach, by layer."""

    wiring: Wiring
    sizes: dict[str, Size]
    size: tuple[int, int, int]
    progress: Callable[[int], object]
    cancel: Cancel | None
    done: int = 0
    largest_bytes: int = 0
    tried: set[str] = field(default_factory=set[str])
    ends: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])

    def boxes(self, local: bool) -> dict[str, np.ndarray]:
        """[4, rows, columns] by layer: (top, left, bottom, right) of what its units are reached from."""
        self.ends = {name: np.stack([np.full(of, end) for end in (_UNSEEN, _UNSEEN, -1, -1)])
                     for name, of in self.sizes.items()}  # fmt: skip
        for axis in (0, 1):
            first, length = 0, self.size[1 + axis]
            while first < length:
                numbers = range(first, min(length, first + self._batch()))
                self._try(axis, numbers, local)
                first, self.done = numbers.stop, self.done + len(numbers)
                self.progress(self.done)
        found = {name: each + np.array([0, 0, 1, 1])[:, None, None] for name, each in self.ends.items()}
        return {name: np.where(each[0] < _UNSEEN, each, 0) for name, each in found.items()}

    def _batch(self) -> int:
        """One direction at first, then as many as keep the largest output within bounds."""
        return max(1, min(PASS_IMAGES, PASS_BYTES // self.largest_bytes)) if self.largest_bytes else 1

    def _try(self, axis: int, numbers: range, local: bool) -> None:
        channels, height, width = self.size
        images = torch.zeros(len(numbers), 1, height, width)
        images.transpose(1, 2 + axis)[range(len(numbers)), numbers] = 1
        at = torch.tensor(numbers)[:, None, None]

        def seen(layer: str, output: Tensor) -> None:
            self.largest_bytes = max(self.largest_bytes, output.untyped_storage().nbytes() // len(numbers))
            if layer in self.sizes:
                self.tried.add(layer)
                reached = (output[:, 0] if output.stride(1) == 0 else output.amax(1)) != 0
                ends = self.ends[layer]
                ends[axis] = np.minimum(ends[axis], torch.where(reached, at, _UNSEEN).amin(0).numpy())
                ends[2 + axis] = np.maximum(ends[2 + axis], torch.where(reached, at, -1).amax(0).numpy())

        self.wiring.spread(images.expand(-1, channels, -1, -1), seen, local=local, cancel=self.cancel)
