"""What is known of one tensor on its way through the network: where its rows and columns are, and what they see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from explorer import layout as dims
from explorer.axes import Axis, compose, hull, spread
from explorer.graph import Shape
from explorer.layout import Layout
from explorer.reads import Reads


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one tensor: its layout, the map its positions belong to, and both fields."""

    shape: Shape
    layout: Layout | None
    map_size: tuple[int, int]
    strict: tuple[Axis, Axis]
    local: tuple[Axis, Axis] | None

    @property
    def has_map(self) -> bool:
        """Whether positions can be told apart (rows and columns, or tokens), each with a field of its own."""
        labels = set(self.layout or ())
        return self.local is not None and ({dims.H, dims.W} <= labels or dims.T in labels)


def moved(state: State, found: list[Reads], size: tuple[int, int]) -> State:
    """The state after rows and columns are read as `found` says, which gives maps of `size`."""

    strict = _through(state.strict, found, size)
    local = strict if state.local is state.strict else state.local and _through(state.local, found, size)
    return replace(state, map_size=size, strict=strict, local=local)


def _through(axes: tuple[Axis, Axis], found: list[Reads], size: tuple[int, int]) -> tuple[Axis, Axis]:
    rows = compose(axes[0], found[0], size[0])
    square = axes[0] is axes[1] and found[0] == found[1] and size[0] == size[1]
    return rows, rows if square else compose(axes[1], found[1], size[1])


def over(state: State, at: Iterable[int], otherwise: State) -> State:
    """The state unchanged where none of the dimensions is spatial, else `otherwise`."""
    if state.layout is None:
        return state
    return otherwise if any(state.layout[i] in dims.SPATIAL for i in at) else state


def whole(state: State) -> State:
    """A tensor each of whose values may depend on every position."""
    rows, columns = seen_by_all(state.strict, state.map_size)
    return replace(state, layout=None, strict=(spread(rows, 1), spread(columns, 1)), local=None, map_size=(1, 1))


def seen_by_all(axes: tuple[Axis, Axis], size: tuple[int, int]) -> tuple[Axis, Axis]:
    """Each position of a map of `size` sees what all of them see."""
    return hull(axes[0], size[0]), hull(axes[1], size[1])
