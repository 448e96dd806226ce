"""Maps of images that are those of the clean image but for one region each, of which alone the values are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.analysis.incremental.spans import Stretch

Pads = tuple[int, int, int, int]  # left, right, top, bottom, as F.pad has them
NO_PADS: Pads = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class MapPatch:
    """Stands for an output [N, …] of which image n has `values[n]` at its rows and columns, and elsewhere `clean[0]`.

    dims: the dimensions of rows and of columns. What asks for its size gets that of the whole output. clean is on the
    meta device, a shape alone, where nothing is ever cut from it.
    """

    values: Tensor
    clean: Tensor
    rows: Stretch
    columns: Stretch
    dims: tuple[int, int] = (2, 3)

    def size(self, dim: int | None = None) -> Any:
        """The size of the whole output, as Tensor.size gives it."""
        size = torch.Size((len(self.values), *self.clean.shape[1:]))
        return size if dim is None else size[dim]

    def dim(self) -> int:
        """How many dimensions it has."""
        return self.clean.dim()

    @classmethod
    def of_whole(cls, values: Tensor, clean: Tensor, dims: tuple[int, int]) -> MapPatch:
        """A patch whose region is the whole map."""
        start = np.zeros(len(values), int)
        return cls(values, clean, Stretch(start, values.shape[dims[0]]), Stretch(start, values.shape[dims[1]]), dims)

    @property
    def is_whole(self) -> bool:
        """Whether its region is the whole map."""
        return self.values.shape == self.size()

    def whole(self) -> Tensor:
        """The output itself, which nothing else reads."""
        if self.is_whole:
            return self.values
        found = _empty(self.clean, tuple(self.size())).copy_(self.clean.expand(self.size()))
        height, width = (self.clean.shape[dim] for dim in self.dims)
        zero = np.zeros(len(found), int)
        _paste(found, self, Stretch(zero, height), Stretch(zero, width))
        return found

    def change(self) -> Tensor:
        """What the sum over rows and columns differs by from the clean one."""
        return (self.values - cut_out(self.clean, self.rows, self.columns, self.dims)).sum(self.dims)


@dataclass(frozen=True, eq=False)
class Canvases:
    """Clean maps with their padding, made once."""

    made: dict[tuple[int, Pads, float], Tensor] = field(default_factory=dict[tuple[int, Pads, float], Tensor])

    def inside(self, clean: Tensor, pads: Pads, fill: float) -> Tensor:
        """The same map as a part of its padded one, so that both take the room of one."""
        left, right, top, bottom = pads
        padded = _padded(clean, pads, fill)
        height, width = padded.shape[-2:]
        found = padded[..., top : height - bottom, left : width - right]
        self.made[id(found), pads, fill] = padded
        return found

    def padded(self, clean: Tensor, pads: Pads, fill: float) -> Tensor:
        """A map with rows and columns last that is padded by a value."""
        if not any(pads):
            return clean
        key = id(clean), pads, fill
        if key not in self.made:
            self.made[key] = _padded(clean, pads, fill)
        return self.made[key]

    def cut(
        self, patch: MapPatch, rows: Stretch, columns: Stretch, pads: Pads = NO_PADS, fill: float = 0.0
    ) -> Tensor:  # fmt: skip
        """The values of each image at other rows and columns, which may go as far into a padding as `pads`."""
        if patch.rows.equals(rows) and patch.columns.equals(columns):
            return patch.values
        canvas = self.padded(patch.clean, pads, fill)
        left, _, top, _ = pads
        found = cut_out(canvas, Stretch(rows.first + top, rows.length), Stretch(columns.first + left, columns.length),
                        patch.dims)  # fmt: skip
        _paste(found, patch, rows, columns)
        return found


def cut_out(whole: Tensor, rows: Stretch, columns: Stretch, dims: tuple[int, int]) -> Tensor:
    """From one map [1, …] the pieces at rows and columns, one for each image."""
    down, across = dims
    return torch.cat([
        whole.narrow(down, top, rows.length).narrow(across, left, columns.length)
        for top, left in zip(rows.first.tolist(), columns.first.tolist(), strict=True)
    ])  # fmt: skip


def _padded(clean: Tensor, pads: Pads, fill: float) -> Tensor:
    padded = F.pad(clean, pads, value=fill)
    return _empty(clean, tuple(padded.shape)).copy_(padded)


def _empty(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Room for values whose channels lie in memory as those of `like` do."""
    last = like.dim() == 4 and like.stride(1) == 1
    return like.new_empty(shape).contiguous(memory_format=torch.channels_last) if last else like.new_empty(shape)


def _paste(into: Tensor, patch: MapPatch, rows: Stretch, columns: Stretch) -> None:
    """Write a patch over pieces that lie at rows and columns, as far as it lies on them."""
    down, across = _overlap(rows, patch.rows), _overlap(columns, patch.columns)
    if down.is_same and across.is_same:
        _narrowed(into, patch.dims, down.into[0], across.into[0], down.length[0], across.length[0]).copy_(
            _narrowed(patch.values, patch.dims, down.source[0], across.source[0], down.length[0], across.length[0])
        )
        return
    for n, (height, width) in enumerate(zip(down.length, across.length, strict=True)):
        if height > 0 and width > 0:
            place = _narrowed(into[n : n + 1], patch.dims, down.into[n], across.into[n], height, width)
            source = patch.values[n : n + 1]
            place.copy_(_narrowed(source, patch.dims, down.source[n], across.source[n], height, width))


def _narrowed(x: Tensor, dims: tuple[int, int], top: int, left: int, height: int, width: int) -> Tensor:
    return x.narrow(dims[0], top, height).narrow(dims[1], left, width)


@dataclass(frozen=True)
class _Overlap:
    """Where pieces of an axis lie on others, for each image: from where in these, from where in themselves, how far."""

    into: list[int]
    source: list[int]
    length: list[int]

    @property
    def is_same(self) -> bool:
        """Whether it is the same for all images, and not nothing."""
        return self.length[0] > 0 and all(len(set(each)) == 1 for each in (self.into, self.source, self.length))


def _overlap(under: Stretch, over: Stretch) -> _Overlap:
    first = np.maximum(under.first, over.first)
    stop = np.minimum(under.first + under.length, over.first + over.length)
    return _Overlap((first - under.first).tolist(), (first - over.first).tolist(), (stop - first).tolist())
