"""Where each element of a tensor comes from, however it is reshaped, permuted, cut and joined.

The general form beside the quick one of `field_state`: dimensions as products of atoms, and a table for each axis of
the image. The operations here only move elements; what combines them stands in `mixing` and `sliding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from explorer.receptive_field import dims, tables
from explorer.receptive_field.tables import UNSEEN, Atom, Table
from explorer.types import Shape

Atoms = tuple[Atom, ...]
Tables = tuple[Table, Table]


@dataclass(frozen=True, eq=False, slots=True)
class IndexMap:
    """A tensor: the atoms of each dimension, and what its elements see of rows and columns.

    local: the field without what reads the whole map to make a gate or a statistic; None for such a gate itself.
    map_size: rows and columns of the map that its positions belong to. is_exact: else the fields are upper bounds.
    """

    dims: tuple[Atoms, ...]
    strict: Tables
    local: Tables | None
    map_size: tuple[int, int]
    is_exact: bool = True

    @property
    def shape(self) -> Shape:
        return tuple(prod(atom.size for atom in atoms) for atoms in self.dims)

    def with_pairs(self, change: Callable[[Tables], Tables], dims: Iterable[Atoms] | None = None) -> IndexMap:
        """The same with both fields changed, each given as tables of rows and columns; other dimensions if given."""
        strict = change(self.strict)
        local = strict if self.local is self.strict else self.local and change(self.local)
        return replace(self, dims=self.dims if dims is None else tuple(dims), strict=strict, local=local)

    def with_tables(self, change: Callable[[Table], Table], dims: Iterable[Atoms] | None = None) -> IndexMap:
        """The same with every table changed, and other dimensions if given."""
        return self.with_pairs(lambda pair: (change(pair[0]), change(pair[1])), dims)

    def with_dim(self, at: int, atoms: Atoms, change: Callable[[Table], Table] = lambda table: table) -> IndexMap:
        """The same with other atoms in one dimension."""
        return self.with_tables(change, (*self.dims[:at], atoms, *self.dims[at + 1 :]))

    def varies(self, atoms: Iterable[Atom]) -> bool:
        """Whether any table tells elements along one of these atoms apart."""
        wanted = set(atoms)
        return any(not wanted.isdisjoint(table.axes) for table in (*self.strict, *(self.local or ())))


def seen_by_both(found: IndexMap) -> IndexMap:
    """The same where an element that sees nothing of one axis sees nothing of the other: as padding below a map has
    columns, but no pixel, and these must not count in what is taken together later."""
    return found.with_pairs(_both) if any(map(_is_half_blind, (found.strict, found.local or ()))) else found


def _is_half_blind(pair: Tables | tuple[()]) -> bool:
    if not any(table.is_blind.any() for table in pair):
        return False
    rows, columns = (values[2] >= UNSEEN for values in _together(pair))
    return bool((rows != columns).any())


def _together(pair: Sequence[Table]) -> tuple[np.ndarray, ...]:
    axes = tuple(dict.fromkeys(atom for table in pair for atom in table.axes))
    lengths = [atom.size for atom in axes]
    tables.limit(prod(lengths))
    return tuple(np.broadcast_to(table.laid_out(axes), (4, *lengths)) for table in pair)


def _both(pair: Tables) -> Tables:
    rows, columns = _together(pair)
    axes = tuple(dict.fromkeys((*pair[0].axes, *pair[1].axes)))
    nothing = np.where(rows[2] >= UNSEEN, rows, columns)  # padding, or weights
    blind = nothing[2] >= UNSEEN
    made = (Table(axes, np.where(blind, nothing, values), table.is_global)
            for values, table in zip((rows, columns), pair, strict=True))  # fmt: skip
    return next(made), next(made)


def made(size: int) -> Atoms:
    """The dimension of something new, that no pixel runs along."""
    return (Atom(size, dims.C),)


# -- Order and grouping ------------------------------------------------------------------------------------------------


def permuted(found: IndexMap, order: Sequence[int]) -> IndexMap:
    return replace(found, dims=tuple(found.dims[i] for i in order))


def reshaped(found: IndexMap, target: Shape) -> IndexMap:
    """view, flatten, squeeze and all that keep the order of the elements. Raises TooLargeError."""
    shape = found.shape
    new: list[Atoms] = []
    parts: dict[Atom, Atoms] = {}
    for before, after in dims.groups(shape, target):
        run = [atom for i in before for atom in found.dims[i] if atom.size > 1]
        if not run and len(before) == len(after):
            new.extend(found.dims[i] for i in before)
            continue
        fitted = _fitted(run, [target[j] for j in after], parts)
        if fitted is None:  # sizes that do not divide: as one dimension all can be split
            return reshaped(_as_one(found, before), target)
        new.extend(fitted)
    return split(found, parts, new)


def _fitted(run: list[Atom], sizes: list[int], parts: dict[Atom, Atoms]) -> list[Atoms] | None:
    """The atoms of a run shared out over dimensions of these sizes; those that must be split are noted in `parts`."""
    queue, shares = list(run), list[Atoms]()
    pieces: dict[Atom, list[Atom]] = {}
    origin = {atom: atom for atom in run}
    for size in sizes:
        share: list[Atom] = []
        left = size
        while left > 1:
            atom = queue.pop(0)
            if left % atom.size == 0:
                share.append(atom)
                left //= atom.size
            elif atom.size % left == 0:
                first, rest = Atom(left, atom.label), Atom(atom.size // left, atom.label)
                origin[first] = origin[rest] = whole = origin[atom]
                known = pieces.setdefault(whole, [whole])
                at = known.index(atom)
                known[at : at + 1] = [first, rest]
                share.append(first)
                queue.insert(0, rest)
                left = 1
            else:
                return None
        shares.append(tuple(share) or made(1))
    parts.update({atom: tuple(found) for atom, found in pieces.items()})
    return shares


def _as_one(found: IndexMap, run: Sequence[int]) -> IndexMap:
    """Neighbouring dimensions as one of one atom."""
    atoms = tuple(atom for i in run for atom in found.dims[i])
    one = Atom(prod(atom.size for atom in atoms), common_label(atoms))
    new = (*found.dims[: run[0]], (one,), *found.dims[run[-1] + 1 :])
    return found.with_tables(lambda table: table.merged(atoms, one), new)


def split(found: IndexMap, parts: dict[Atom, Atoms], new: Iterable[Atoms]) -> IndexMap:
    """The map with atoms replaced by several."""
    return found.with_tables(lambda table: table.split(parts) if parts else table, new)


def merged(found: IndexMap, at: int) -> tuple[IndexMap, Atom]:
    """The map with one atom in a dimension, and that atom. Raises TooLargeError."""
    atoms = found.dims[at]
    if len(atoms) == 1:
        return found, atoms[0]
    whole = _as_one(found, [at])
    return whole, whole.dims[at][0]


def common_label(atoms: Atoms) -> str:
    """What runs along several atoms together: rows and columns make tokens."""
    labels = {atom.label for atom in atoms if atom.size > 1} or {atom.label for atom in atoms[:1]} or {dims.C}
    if len(labels) == 1:
        return labels.pop()
    return dims.T if labels <= {dims.H, dims.W, dims.T} else dims.X


# -- Cutting, turning, repeating ---------------------------------------------------------------------------------------


def taken(found: IndexMap, at: int, kept: np.ndarray) -> IndexMap:
    """Some positions of a dimension, in this order."""
    size = prod(atom.size for atom in found.dims[at])
    if len(kept) == size and (kept == np.arange(size)).all():
        return found
    if not found.varies(found.dims[at]):
        return found.with_dim(at, (Atom(len(kept), common_label(found.dims[at])),))
    found, atom = merged(found, at)
    one = Atom(len(kept), atom.label)
    return found.with_dim(at, (one,), lambda table: table.taken(atom, kept, one))


def without_dim(found: IndexMap, at: int, position: int) -> IndexMap:
    """One position of a dimension, which goes."""
    found = taken(found, at, np.array([position]))
    return reshaped(found, (*found.shape[:at], *found.shape[at + 1 :]))


def new_dim(found: IndexMap, at: int) -> IndexMap:
    """A dimension of size 1 put in."""
    return replace(found, dims=(*found.dims[:at], made(1), *found.dims[at:]))


def expanded(found: IndexMap, target: Shape) -> IndexMap:
    """Dimensions of size 1, and new ones before the first, repeated without a copy."""
    known = (*((),) * (len(target) - len(found.dims)), *found.dims)
    sizes = (*(1,) * (len(target) - len(found.dims)), *found.shape)
    return single(found, [i for i, (n, m) in enumerate(zip(sizes, target, strict=True)) if n == 1 < m], known, target)


def single(found: IndexMap, at: list[int], known: Sequence[Atoms], target: Shape) -> IndexMap:
    """The dimensions `at`, of one position each, as dimensions along which nothing varies."""
    gone = {atom for i in at for atom in known[i]}
    new = tuple(made(target[i]) if i in at else atoms or made(1) for i, atoms in enumerate(known))
    return found.with_tables(lambda table: table.without(gone) if gone else table, new)


def tiled(found: IndexMap, repeats: Sequence[int]) -> IndexMap:
    """Tensor.repeat: each dimension that many times, one after the other."""
    known = (*(made(1),) * (len(repeats) - len(found.dims)), *found.dims)
    new = tuple((*made(times), *atoms) if times > 1 else atoms for times, atoms in zip(repeats, known, strict=True))
    return replace(found, dims=new)


def interleaved(found: IndexMap, at: int, times: int) -> IndexMap:
    """Each element of a dimension several times before the next."""
    return found.with_dim(at, (*found.dims[at], *made(times)))


# -- Joining -----------------------------------------------------------------------------------------------------------


def concatenated(maps: Sequence[IndexMap], at: int) -> IndexMap:
    """Tensors end to end along a dimension. Raises TooLargeError."""
    fresh = [_fresh(*merged(found, at), at) for found in maps]
    along = [found.dims[at][0] for found in fresh]
    together = aligned(fresh, skip=at)
    one = Atom(sum(atom.size for atom in along), common_label(tuple(along)))
    lead = max(together, key=lambda found: prod(found.map_size))

    def pair(each: Sequence[Tables]) -> Tables:
        rows, columns = zip(*each, strict=True)
        return tables.joined(rows, along, one), tables.joined(columns, along, one)

    local = None if all(m.local is None for m in together) else pair([m.local or m.strict for m in together])
    new = (*lead.dims[:at], (one,), *lead.dims[at + 1 :])
    return IndexMap(new, pair([m.strict for m in together]), local, lead.map_size, all(m.is_exact for m in maps))


def _fresh(found: IndexMap, atom: Atom, at: int) -> IndexMap:
    """The map with an atom of its own in a dimension: another tensor may have this one elsewhere."""
    own = Atom(atom.size, atom.label)
    return found.with_dim(at, (own,), lambda table: table.renamed({atom: own}))


def broadcast(maps: Sequence[IndexMap]) -> list[IndexMap]:
    """Tensors with the same atoms in the same dimensions, as arithmetic takes them. Raises TooLargeError."""
    rank = max(len(found.dims) for found in maps)
    shapes = [(*(1,) * (rank - len(found.dims)), *found.shape) for found in maps]
    target = tuple(map(max, *shapes)) if len(shapes) > 1 else shapes[0]
    return aligned([expanded(found, target) for found in maps])


def aligned(maps: Sequence[IndexMap], skip: int | None = None) -> list[IndexMap]:
    """Tensors of one shape with the same atoms; in dimension `skip` each keeps its own. Raises TooLargeError."""
    lead, *others = maps
    for i, other in enumerate(others):
        lead, others[i] = _alike(lead, other, skip)
    return [lead, *(_alike(lead, other, skip)[1] for other in others)]


def _alike(a: IndexMap, b: IndexMap, skip: int | None) -> tuple[IndexMap, IndexMap]:
    """Two tensors of one shape, both refined to the atoms that both have, the second by the names of the first."""
    for at in range(len(a.dims)):
        if at != skip and [x.size for x in a.dims[at]] != [x.size for x in b.dims[at]]:
            a, b = _refined(a, b, at)
    places = [at for at in range(len(a.dims)) if at != skip]
    pairs = [pair for at in places for pair in zip(a.dims[at], b.dims[at], strict=True)]
    kept = {ours: _better(ours, theirs) for ours, theirs in pairs}
    names = {theirs: kept[ours] for ours, theirs in pairs}
    a = a.with_tables(lambda table: table.renamed(kept), _renamed(a.dims, kept))
    return a, b.with_tables(lambda table: table.renamed(names), _renamed(b.dims, names))


def _renamed(all_dims: Iterable[Atoms], names: dict[Atom, Atom]) -> list[Atoms]:
    return [tuple(names.get(atom, atom) for atom in atoms) for atoms in all_dims]


def _better(ours: Atom, theirs: Atom) -> Atom:
    """An atom with the label that says more of what runs along it."""
    return Atom(ours.size, theirs.label) if ours.label == dims.C != theirs.label else ours


def _refined(a: IndexMap, b: IndexMap, at: int) -> tuple[IndexMap, IndexMap]:
    sizes = _common([x.size for x in a.dims[at]], [x.size for x in b.dims[at]])
    return _resized(a, at, sizes), _resized(b, at, sizes)


def _common(a: list[int], b: list[int]) -> list[int]:
    """The coarsest sizes of which both lists are products of runs; one size where there are none."""
    total, a, b = prod(a), a[::-1], b[::-1]
    found: list[int] = []
    while a and b:
        x, y = a.pop(), b.pop()
        if x % y and y % x:
            return [total]
        found.append(min(x, y))
        if x > y:
            a.append(x // y)
        elif y > x:
            b.append(y // x)
    return [size for size in found if size > 1] or [1]


def _resized(found: IndexMap, at: int, sizes: list[int]) -> IndexMap:
    """The atoms of a dimension brought to these sizes."""
    parts: dict[Atom, Atoms] = {}
    run = [atom for atom in found.dims[at] if atom.size > 1]
    shares = _fitted(run, sizes, parts)
    if shares is None or any(len(share) > 1 for share in shares):
        whole, atom = merged(found, at)
        pieces = tuple(Atom(size, atom.label) for size in sizes)
        return split(whole, {atom: pieces}, (*whole.dims[:at], pieces, *whole.dims[at + 1 :]))
    flat = tuple(share[0] for share in shares)
    return split(found, parts, (*found.dims[:at], flat, *found.dims[at + 1 :]))
