"""What is reported of a tensor in the general form: per row and column, what its channels and all else see together."""

from __future__ import annotations

from math import prod

import numpy as np

from explorer.receptive_field import dims, tables
from explorer.receptive_field.dims import Layout
from explorer.receptive_field.field_state import FieldState
from explorer.receptive_field.index_map import IndexMap, Tables
from explorer.receptive_field.intervals import Axis
from explorer.receptive_field.scatter import Tracked, axes_of_map, layout_of, lies_as_map, own_atoms
from explorer.receptive_field.tables import UNSEEN, Atom, Table
from explorer.types import Shape


def summary(state: Tracked, shape: Shape) -> FieldState:
    """The quick form of any tensor; with the boxes one by one where rows and columns cannot be told apart."""
    if isinstance(state, FieldState):
        return state
    layout = layout_of(state)
    if lies_as_map(state) and not (layout and {dims.H, dims.W} <= set(layout)):
        layout = dims.MAP
    if layout is None:
        return _of_no_map(state, shape)
    size, strict, local = axes_of_map(state, layout)
    boxes = _boxes(state, layout)
    if boxes is not None:
        size = boxes[0].shape[1:] if size == (1, 1) else size
    exact = state.is_exact and (boxes is not None or not _mixes(state, layout))
    return FieldState(shape, layout, size, strict, local, exact, boxes=boxes)


def _mixes(state: IndexMap, layout: Layout) -> bool:
    """Whether tokens differ otherwise than as the rows and columns of a map; what tells channels apart is no matter."""
    if dims.T not in layout:
        return False
    tokens = set(state.dims[layout.index(dims.T)])
    pairs = zip((dims.H, dims.W), state.strict, strict=True)
    return any(set(table.axes) & tokens - own_atoms(state, layout, label) for label, table in pairs)


def _boxes(state: IndexMap, layout: Layout) -> tuple[np.ndarray, np.ndarray] | None:
    """The boxes of all units of a map, strictly and locally, [4, rows, columns], where rows differ along columns."""
    if {dims.H, dims.W} <= set(layout):
        places = layout.index(dims.H), layout.index(dims.W)
    elif layout == dims.MAP:
        places = 2, 3
    else:
        return None
    along = [state.dims[at] for at in places]
    if not _crosses(state.strict, along) and not _crosses(state.local or state.strict, along):
        return None
    strict = _grid(state.strict, along)
    return strict, strict if state.local is None else _grid(state.local, along)


def _crosses(pair: Tables, along: list[tuple[Atom, ...]]) -> bool:
    return any(atom in pair[0].axes for atom in along[1]) or any(atom in pair[1].axes for atom in along[0])


def _grid(pair: Tables, along: list[tuple[Atom, ...]]) -> np.ndarray:
    """(top, left, bottom, right), ends exclusive; 0 where nothing is seen."""
    rows, columns = (_laid_out(table, along) for table in pair)
    found = np.stack([rows[0], columns[0], 1 - rows[1], 1 - columns[1]])
    return np.where((rows[0] >= UNSEEN) | (columns[0] >= UNSEEN), 0, found)


def _laid_out(table: Table, along: list[tuple[Atom, ...]]) -> np.ndarray:
    """First and minus last pixel of what is seen at each row and column, [2, rows, columns]."""
    kept = (*along[0], *along[1])
    values = table.without([atom for atom in table.axes if atom not in kept]).laid_out(kept)[2:]
    sizes = [atom.size for atom in kept]
    count = [prod(atom.size for atom in atoms) for atoms in along]
    return np.broadcast_to(values, (2, *sizes)).reshape(2, *count)


def _of_no_map(state: IndexMap, shape: Shape) -> FieldState:
    """Of tokens in no order the different intervals; of anything else what all elements see together."""
    tokens = [any(atom.label == dims.T for atom in atoms) for atoms in state.dims]

    def pair(each: Tables) -> tuple[Axis, Axis]:
        rows, columns = (
            (any(tokens) and _listed(table, count)) or _together(table, count)
            for table, count in zip(each, state.map_size, strict=True)
        )
        return rows, columns

    strict, local = pair(state.strict), state.local and pair(state.local)
    layout = tuple(dims.T if t else dims.C if at else dims.N for at, t in enumerate(tokens))
    together = any(table.axes and axis.is_global for table, axis in zip(state.strict, strict, strict=True))
    return FieldState(shape, layout, state.map_size, strict, local, is_exact=state.is_exact and not together)


def _listed(table: Table, count: int) -> Axis | None:
    """The axis of the different intervals of elements in no order, if they are as many as the map had positions."""
    flat = table.values.reshape(4, -1)
    known = np.unique(flat[:, flat[2] < UNSEEN], axis=1)
    if known.shape[1] != count or table.is_global:
        return None
    return tables.axis_of(Table((Atom(count, dims.H),), known), count)


def _together(table: Table, count: int) -> Axis:
    """What all elements see."""
    return tables.axis_of(Table((), table.values.reshape(4, -1).min(axis=1), is_global=True), count)
