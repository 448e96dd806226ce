"""The quick form of what is known of a tensor: a plain map, or its tokens, whose rows and columns see intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from explorer.receptive_field import dims
from explorer.receptive_field.dims import Layout
from explorer.receptive_field.intervals import Axis, compose, hull, spread
from explorer.receptive_field.taps import Taps
from explorer.types import Shape

BOTH = (0, 1)  # the axes of a map: rows and columns


@dataclass(frozen=True, slots=True)
class FieldState:
    """What is known of one tensor: its layout, the map its positions belong to, and both fields.

    local: None for a gate, which has no position of its own. is_exact: else the fields are upper bounds. parts: what
    was joined along its channels, if that sees differently; the fields are then those of all channels together.
    boxes: for reports alone: (top, left, bottom, right) of each unit, [4, rows, columns], of both fields, where rows
    and columns do not tell them.
    """

    shape: Shape
    layout: Layout
    map_size: tuple[int, int]
    strict: tuple[Axis, Axis]
    local: tuple[Axis, Axis] | None
    is_exact: bool = True
    parts: tuple[FieldState, ...] = ()
    boxes: tuple[np.ndarray, np.ndarray] | None = field(default=None, compare=False)

    @property
    def joint(self) -> int:
        """The dimension along which the parts were joined."""
        differs = (at for at, size in enumerate(self.shape) if any(part.shape[at] != size for part in self.parts))
        return next(differs)

    @property
    def has_map(self) -> bool:
        """Whether positions can be told apart (rows and columns, or tokens), each with a field of its own."""
        labels = set(self.layout)
        return self.local is not None and ({dims.H, dims.W} <= labels or dims.T in labels)


def moved(state: FieldState, found: list[Taps], size: tuple[int, int]) -> FieldState:
    """The state after rows and columns are read as `found` says, which gives maps of `size`."""

    strict = _through(state.strict, found, size)
    local = strict if state.local is state.strict else state.local and _through(state.local, found, size)
    # as replace() has it, at a third of the time: most layers of most networks come here
    return FieldState(state.shape, state.layout, size, strict, local, state.is_exact, state.parts, state.boxes)


def _through(axes: tuple[Axis, Axis], found: list[Taps], size: tuple[int, int]) -> tuple[Axis, Axis]:
    rows = compose(axes[0], found[0], size[0])
    square = axes[0] is axes[1] and found[0] == found[1] and size[0] == size[1]
    return rows, rows if square else compose(axes[1], found[1], size[1])


def summed_over(state: FieldState, labels: Iterable[str]) -> FieldState:
    """What a sum over the dimensions of these labels leaves, its layout as before; where none is spatial, the state
    as it was. Of tokens the whole map is summed."""
    along = axes_of(labels)
    return pooled(state, along) if along else state


def axes_of(labels: Iterable[str]) -> tuple[int, ...]:
    """The axes of the map (0 rows, 1 columns) along which dimensions of these labels run."""
    found = set(labels)
    if dims.T in found:
        return BOTH
    return tuple(at for at, label in enumerate((dims.H, dims.W)) if label in found)


def pooled(state: FieldState, along: tuple[int, ...] = BOTH) -> FieldState:
    """One position along some axes, that sees what all did: a gate."""
    seen = seen_by_all(state.strict, state.map_size, along)
    rows, columns = (spread(axis, 1) if at in along else axis for at, axis in enumerate(seen))
    height, width = (1 if at in along else size for at, size in enumerate(state.map_size))
    return replace(state, strict=(rows, columns), local=None, map_size=(height, width))


def seen_by_all(axes: tuple[Axis, Axis], size: tuple[int, int], along: tuple[int, ...] = BOTH) -> tuple[Axis, Axis]:
    """Each position of a map of `size` sees what all those along some axes see."""
    rows, columns = (hull(axes[at], size[at]) if at in along else axes[at] for at in BOTH)
    return rows, columns
