"""Whether maps move as the picture does: f(T(x)) = T(f(x)), exact for shifts by a multiple of the stride, away from
borders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.layer_features import features_of
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.intervals import Axis
from explorer.receptive_field.report import ReceptiveField, receptive_fields
from explorer.types import Pair


@dataclass(frozen=True)
class Equivariance:
    """A layer's maps of pictures shifted down and to the right by `shift_px`, beside those of the pictures themselves.

    positions: the units that are compared, as neither they nor those whose places they take see beyond the picture.
    error: the greatest difference there from the maps shifted by `cells`, as a share of their greatest value; still:
    the same from the maps as they were, for the share that a shift changes at all. Both None where there are no such
    units. is_multiple: whether the shift is one of the stride, for which the error is 0 but for rounding.
    """

    layer: str
    stride_px: Pair
    shift_px: Pair
    cells: Pair
    positions: int
    error: float | None
    still: float | None

    @property
    def is_multiple(self) -> bool:
        return all(shift == cells * stride for shift, cells, stride in zip(
            self.shift_px, self.cells, self.stride_px, strict=True))  # fmt: skip


def can_shift(field: ReceptiveField) -> bool:
    """Whether a layer's units look at places of the picture that lie whole pixels apart."""
    return not any(axis.is_global or axis.advance == 0 for axis in field.axes) and all(
        stride.denominator == 1 for stride in field.stride
    )


def equivariance(
    program: TracedProgram,
    images: Tensor,
    layer: str,
    shift_px: Pair | None = None,
    *,
    cancel: Callable[[], bool] | None = None,
) -> Equivariance | None:
    """Shift images [N, C, H, W] by (rows, columns) px, by default the layer's stride; None where it has no such stride.

    layer: the id of one with maps.
    """
    field = receptive_fields(program.graph)[layer].local
    if not program.graph[layer].is_map or not can_shift(field):
        return None
    stride = (int(field.stride[0]), int(field.stride[1]))
    shift = shift_px or stride
    cells = (round(shift[0] / stride[0]), round(shift[1] / stride[1]))
    before, after = (_maps(program, each, layer, cancel) for each in (images, images.roll(shift, (2, 3))))
    rows, columns = (
        compared(axis, count, length, by, step)
        for axis, count, length, by, step in zip(
            field.axes, before.shape[2:], images.shape[2:], shift, cells, strict=True
        )
    )
    if not len(rows) or not len(columns):
        return Equivariance(layer, stride, shift, cells, 0, None, None)
    now = after[:, :, rows[:, None], columns]
    there, here = before[:, :, (rows - cells[0])[:, None], columns - cells[1]], before[:, :, rows[:, None], columns]
    scale = float(torch.stack([now.abs().max(), there.abs().max()]).max()) or 1.0
    error, still = (float((now - other).abs().max()) / scale for other in (there, here))
    return Equivariance(layer, stride, shift, cells, len(rows) * len(columns), error, still)


def _maps(program: TracedProgram, images: Tensor, layer: str, cancel: Callable[[], bool] | None) -> Tensor:
    return torch.cat([maps[layer].double() for _, maps in features_of(program, images, [layer], cancel=cancel)])


def compared(axis: Axis, count: int, length: int, shift: int, cells: int) -> np.ndarray:
    """The positions of a map whose units see only what was shifted within the picture, and so do those `cells` before.

    shift: in pixels of `length`, that come in at the beginning, or at the end where it is negative.
    """
    low, high = max(0, shift), length - 1 + min(0, shift)

    def is_within(position: int, low: int, high: int) -> bool:
        seen = axis.interval(position) if 0 <= position < count else None
        return seen is not None and low <= seen[0] and seen[1] <= high

    found = [p for p in range(count) if is_within(p, low, high) and is_within(p - cells, 0, length - 1)]
    return np.array(found, dtype=np.int64)
