"""Between the two forms of what is known of a tensor: the quick one of plain maps and tokens, and the index map."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from explorer.receptive_field import dims, index_map, tables
from explorer.receptive_field.dims import Layout
from explorer.receptive_field.field_state import FieldState
from explorer.receptive_field.index_map import Atoms, IndexMap, Tables
from explorer.receptive_field.intervals import Axis
from explorer.receptive_field.tables import Atom, Table

Tracked = FieldState | IndexMap


def scattered(state: Tracked) -> IndexMap:
    """Any tensor as an index map."""
    if isinstance(state, IndexMap):
        return state
    if state.parts:
        return index_map.concatenated([scattered(part) for part in state.parts], state.joint)
    known = tuple(_atoms(label, size, state.map_size) for label, size in zip(state.layout, state.shape, strict=True))
    rows, columns = (_along(known, label) for label in (dims.H, dims.W))

    def pair(axes: tuple[Axis, Axis]) -> Tables:
        return tables.table_of(axes[0], rows), tables.table_of(axes[1], columns)

    strict = pair(state.strict)
    local = strict if state.local is state.strict else state.local and pair(state.local)
    return IndexMap(known, strict, local, state.map_size, state.is_exact)


def _atoms(label: str, size: int, map_size: tuple[int, int]) -> Atoms:
    if label != dims.T or size != prod(map_size):
        return (Atom(size, label),)
    return Atom(map_size[0], dims.H), Atom(map_size[1], dims.W)


def _along(known: Sequence[Atoms], label: str) -> Atom | None:
    """The atom of rows (columns), if there is more than one of them."""
    return next((atom for atoms in known for atom in atoms if atom.label == label and atom.size > 1), None)


def may_be_zero(state: Tracked) -> bool:
    """Whether some elements see no pixel, as padding: their value may be 0."""
    if isinstance(state, IndexMap):
        return any(table.has_padding for table in state.strict)
    return any((axis.seen[0] > axis.seen[1]).any() for axis in state.strict)


def settled(found: IndexMap) -> Tracked:
    """The quick form, where rows vary along the rows of a map alone, and columns along its columns."""
    found = _labelled(found.with_tables(Table.compressed))
    layout = layout_of(found)
    if layout is None or any(not set(table.axes) <= own_atoms(found, layout, label) for label, table in _each(found)):
        return found
    return FieldState(found.shape, layout, *axes_of_map(found, layout), is_exact=found.is_exact)


def _each(found: IndexMap) -> list[tuple[str, Table]]:
    return [pair for each in (found.strict, found.local or ()) for pair in zip((dims.H, dims.W), each, strict=False)]


def own_atoms(found: IndexMap, layout: Layout, label: str) -> set[Atom]:
    """The atoms along which rows (columns) of a plain map or of its tokens may vary."""
    if label in layout:
        return set(found.dims[layout.index(label)])
    if dims.T not in layout:
        return set()
    return {atom for atom in found.dims[layout.index(dims.T)] if atom.label == label}


def axes_of_map(found: IndexMap, layout: Layout) -> tuple[tuple[int, int], tuple[Axis, Axis], tuple[Axis, Axis] | None]:
    """The size of the map, and its axes strictly and locally; what else tells elements apart is taken together."""
    own = [
        [a for atoms in found.dims for a in atoms if a in own_atoms(found, layout, label)] for label in (dims.H, dims.W)
    ]
    rows, columns = (prod(atom.size for atom in atoms) for atoms in own)

    def axis(table: Table, at: int) -> Axis:
        table = table.without([atom for atom in table.axes if atom not in own[at]])
        count = (rows, columns)[at]
        return tables.axis_of(table.merged(own[at], Atom(count, dims.H)), count)

    def pair(each: Tables) -> tuple[Axis, Axis]:
        return axis(each[0], 0), axis(each[1], 1)

    strict = pair(found.strict)
    local = strict if found.local is found.strict else found.local and pair(found.local)
    return (rows, columns), strict, local


def layout_of(found: IndexMap) -> Layout | None:
    """What the dimensions of one image's tensor mean, where rows and columns of a map, or its tokens, have one each."""
    if not found.dims or prod(atom.size for atom in found.dims[0]) > 1:
        return None
    letters = [_letter(atoms) for atoms in found.dims]
    if len(letters) == 4 and letters[2:] == [dims.H, dims.W]:
        return dims.MAP  # its channels may hold pieces of rows or columns too
    counts = [letters.count(label) for label in (dims.H, dims.W)]
    if counts == [1, 1]:
        kept = {dims.H, dims.W}
    elif counts == [0, 0] and letters.count(dims.T) <= 1 and all(map(_in_order, found.dims)):
        kept = {dims.T}
    elif max(counts) == 1 and dims.T not in letters:
        kept = {dims.H, dims.W}
    else:
        return None
    return tuple(letter if letter in kept else dims.C if at else dims.N for at, letter in enumerate(letters))


def _letter(atoms: Atoms) -> str:
    """What runs along a dimension: tokens only where nothing but positions is in it."""
    labels = {atom.label for atom in atoms if atom.size > 1} or {atom.label for atom in atoms}
    spatial = labels - {dims.C, dims.N}
    if len(spatial) == 1:
        return spatial.pop()
    return dims.T if spatial and spatial == labels else dims.C


def _in_order(atoms: Atoms) -> bool:
    """Whether tokens run along rows first, as a map that is flattened."""
    labels = [atom.label for atom in atoms if atom.size > 1]
    return not {dims.T, dims.X} & set(labels) and labels == sorted(labels, key=(dims.C, dims.N, dims.H, dims.W).index)


def _labelled(found: IndexMap) -> IndexMap:
    """Tokens that were cut and laid out anew run along rows, or columns, if only these differ along them; and so do
    single rows that were stacked to a map again."""
    rows, columns = found.local or found.strict
    names: dict[Atom, Atom] = {}
    for at, atoms in enumerate(found.dims):
        again = at in (2, 3) and lies_as_map(found)
        for atom in atoms:
            along = atom in rows.axes, atom in columns.axes
            if (again or atom.label in (dims.T, dims.X)) and atom.label not in (dims.H, dims.W) and sum(along) == 1:
                names[atom] = Atom(atom.size, dims.H if along[0] else dims.W)
    if not names:
        return found
    new = (tuple(names.get(atom, atom) for atom in atoms) for atoms in found.dims)
    return found.with_tables(lambda table: table.renamed(names), new)


def lies_as_map(found: IndexMap) -> bool:
    """Whether a tensor has the form of the map that its positions are of, or of its rows (columns) one by one."""
    if len(found.dims) != 4 or found.shape[0] != 1 or found.map_size == (1, 1):
        return False
    return all(own in (1, size) for own, size in zip(found.map_size, found.shape[2:], strict=True))
