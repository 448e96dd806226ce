"""What the elements of a tensor see along one axis of the image, kept only along the parts of it that matter.

A tensor's dimensions are products of atoms: the rows of a map, the rows of a window inside it, the channels of a group.
A reshape groups atoms otherwise, a permutation orders them otherwise, and neither changes what any element sees: so a
table names the atoms along which it varies, and says nothing of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

import numpy as np

from explorer.receptive_field.dims import C
from explorer.receptive_field.intervals import NOTHING, Axis, Interval, inside, sources
from explorer.receptive_field.taps import Taps

UNSEEN = 2**30  # stands for an interval without pixels: the least of it and of any other is the other
WEIGHTS = 2 * UNSEEN  # the same, of elements that are no padding but weights, as class tokens: they are not 0
LARGEST = 2**18  # values of one table: what needs more is bounded, not followed


@dataclass(frozen=True, eq=False, slots=True)
class Atom:
    """A part of a dimension, told from others by identity; label: what runs along it (see `dims`)."""

    size: int
    label: str


class TooLargeError(Exception):
    """A table would need more values than are worth their time."""


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """values: [4, *sizes of the axes]: least pixel and minus the greatest, of the field without and with regard to the
    image's ends, so that the least of two tables is their union. is_global: each element sees the axis whole."""

    axes: tuple[Atom, ...]
    values: np.ndarray
    is_global: bool = False

    @property
    def is_blind(self) -> np.ndarray:
        """Where no pixel of the image is seen, [*sizes of the axes]."""
        return self.values[2] >= UNSEEN

    @property
    def has_padding(self) -> bool:
        """Whether some elements are made of padding alone."""
        return bool((self.values[2] == UNSEEN).any())

    def without(self, gone: Collection[Atom]) -> Table:
        """What all elements along some atoms see together."""
        at = tuple(i for i, atom in enumerate(self.axes, 1) if atom in gone)
        if not at:
            return self
        kept = tuple(atom for atom in self.axes if atom not in gone)
        all_of_it = not any(atom.label != C for atom in kept) and any(atom.size > 1 for atom in gone)
        return Table(kept, self.values.min(axis=at), self.is_global or all_of_it)

    def renamed(self, names: Mapping[Atom, Atom]) -> Table:
        """The table along other atoms of the same sizes."""
        return replace(self, axes=tuple(names.get(atom, atom) for atom in self.axes))

    def laid_out(self, axes: Sequence[Atom]) -> np.ndarray:
        """The values with these axes in this order, of size 1 where the table does not vary."""
        order = [self.axes.index(atom) for atom in axes if atom in self.axes]
        values = self.values.transpose(0, *(i + 1 for i in order))
        return values.reshape(4, *(atom.size if atom in self.axes else 1 for atom in axes))

    def along(self, atom: Atom) -> Table:
        """The table as one that may vary along an atom."""
        if atom in self.axes:
            return self
        return Table((*self.axes, atom), self.values[..., None].repeat(atom.size, axis=-1), self.is_global)

    def last(self, atom: Atom) -> tuple[tuple[Atom, ...], np.ndarray]:
        """The other axes, and the values with that of `atom` as the last one."""
        others = tuple(other for other in self.axes if other is not atom)
        return others, np.moveaxis(self.values, self.axes.index(atom) + 1, -1)

    def split(self, parts: Mapping[Atom, tuple[Atom, ...]]) -> Table:
        """Atoms replaced by several, whose sizes multiply to theirs."""
        axes = tuple(part for atom in self.axes for part in parts.get(atom, (atom,)))
        return Table(axes, self.values.reshape(4, *(atom.size for atom in axes)), self.is_global)

    def merged(self, atoms: Sequence[Atom], one: Atom) -> Table:
        """A run of atoms that are one from now on. Raises TooLargeError."""
        if not any(atom in self.axes for atom in atoms):
            return self
        others = tuple(atom for atom in self.axes if atom not in atoms)
        limit(prod(atom.size for atom in (*others, *atoms)))
        values = self.laid_out((*others, *atoms))
        lengths = tuple(atom.size for atom in (*others, *atoms))
        return Table((*others, one), np.broadcast_to(values, (4, *lengths)).reshape(4, *lengths[: len(others)], -1),
                     self.is_global)  # fmt: skip

    def taken(self, atom: Atom, kept: np.ndarray, one: Atom) -> Table:
        """The positions `kept` of an atom, in this order, along `one`."""
        if atom not in self.axes:
            return self
        others, values = self.last(atom)
        return _along(others, one, values[..., kept], self.is_global)

    def read(self, atom: Atom, step: Taps, one: Atom) -> Table:
        """Positions `one` along an atom, each of which sees what those see that it reads."""
        if atom not in self.axes:
            return self
        others, values = self.last(atom)
        count = atom.size
        found = inside(sources(step, one.size), count, step.border)
        limit(found.size * max(1, values[0, ..., 0].size))
        outside = (found < 0) | (found >= count)
        seen = _with_nothing(values[2:])[..., np.where(outside, count, found)].min(-1)
        reach = _reach(values[:2], found, outside, step.period)
        return _along(others, one, np.concatenate([reach, seen]), self.is_global)

    def gathered(self, atom: Atom, found: np.ndarray, new: tuple[Atom, ...]) -> Table:
        """Element by element along new atoms, the position `found` [*sizes] of an atom; none where it is outside."""
        if atom not in self.axes:
            return self
        others, values = self.last(atom)
        limit(found.size * max(1, values[0, ..., 0].size))
        outside = (found < 0) | (found >= atom.size)
        seen = _with_nothing(values)[..., np.where(outside, atom.size, found)]
        return Table((*others, *new), seen, self.is_global)

    def compressed(self) -> Table:
        """Without the atoms along which nothing changes."""
        table = self
        for atom in self.axes:
            others, values = table.last(atom)
            if (values == values[..., :1]).all():
                table = Table(others, values[..., 0], table.is_global)
        return table


def limit(count: int) -> None:
    """Raise TooLargeError for tables that would hold more values than are worth their time."""
    if count > LARGEST:
        raise TooLargeError


def union(tables: Sequence[Table]) -> Table:
    """What each element sees through several tensors, along all atoms that any of them varies along."""
    first, *others = dict.fromkeys(tables)
    for other in others:
        first = _two(first, other)
    return first


def _two(a: Table, b: Table) -> Table:
    axes = (*a.axes, *(atom for atom in b.axes if atom not in a.axes))
    limit(prod(atom.size for atom in axes))
    return Table(axes, np.minimum(a.laid_out(axes), b.laid_out(axes)), a.is_global or b.is_global)


def joined(tables: Sequence[Table], atoms: Sequence[Atom], one: Atom) -> Table:
    """Tensors end to end: `atoms[i]` of each become parts of `one`."""
    axes = tuple(dict.fromkeys(atom for table in tables for atom in table.axes if atom not in atoms))
    if not any(atom in table.axes for table, atom in zip(tables, atoms, strict=True)) and _are_alike(tables, axes):
        return tables[0]
    lengths = tuple(atom.size for atom in axes)
    limit(prod(lengths) * one.size)
    parts = [
        np.broadcast_to(table.laid_out((*axes, atom)), (4, *lengths, atom.size))
        for table, atom in zip(tables, atoms, strict=True)
    ]
    return Table((*axes, one), np.concatenate(parts, -1), all(table.is_global for table in tables))


def _along(others: tuple[Atom, ...], one: Atom, values: np.ndarray, is_global: bool) -> Table:
    """A table whose last axis is `one`, which goes where it has one position."""
    return Table(others, values[..., 0], is_global) if one.size == 1 else Table((*others, one), values, is_global)


def _are_alike(tables: Sequence[Table], axes: Sequence[Atom]) -> bool:
    first = tables[0].laid_out(axes)
    return all(table is tables[0] or np.array_equal(first, table.laid_out(axes)) for table in tables)


def _with_nothing(values: np.ndarray) -> np.ndarray:
    """The values with one more position, that sees nothing: it stands for padding."""
    return np.concatenate([values, np.full((*values.shape[:-1], 1), UNSEEN, values.dtype)], -1)


def _reach(values: np.ndarray, found: np.ndarray, outside: np.ndarray, period: int) -> np.ndarray:
    """What positions see through `found`, those before and after the map as it would go on."""
    count = values.shape[-1]
    turn = _turn(values)
    if period > 1 or turn is None or not outside.any():
        return _with_nothing(values)[..., np.where(outside, count, found)].min(-1)
    length, advance = turn
    turns, phases = np.divmod(found, length)
    return (values[..., phases] + advance.reshape(2, *(1,) * values.ndim) * turns).min(-1)


def _turn(values: np.ndarray) -> tuple[int, np.ndarray] | None:
    """(positions, pixels [2]) after which intervals repeat, if they do: values [2, …, positions]."""
    for length in range(1, min(values.shape[-1] // 2, 64) + 1):
        moved = values[..., length:] - values[..., :-length]
        first = moved[:, *(0,) * (moved.ndim - 1)]
        if first[0] == -first[1] and (moved == first.reshape(2, *(1,) * (moved.ndim - 1))).all():
            return length, first
    return None


# -- From and to the form that repeats ---------------------------------------------------------------------------------


def table_of(axis: Axis, atom: Atom | None) -> Table:
    """What the positions of an axis see, along an atom; without one, what its only position sees."""
    count = 1 if atom is None else atom.size
    reach = np.array([interval or (UNSEEN, -UNSEEN) for interval in map(axis.interval, range(count))]).T
    seen = np.broadcast_to(axis.seen, (2, count))
    empty = seen[0] > seen[1]
    values = np.stack([reach[0], -reach[1], np.where(empty, UNSEEN, seen[0]), np.where(empty, UNSEEN, -seen[1])])
    return Table((), values[:, 0], axis.is_global) if atom is None else Table((atom,), values, axis.is_global)


def axis_of(table: Table, count: int) -> Axis:
    """The axis of a table that varies along one atom of `count` positions, or along none."""
    values = table.values if table.axes else table.values[:, None].repeat(count, axis=1)
    empty = values[2] >= UNSEEN
    seen = np.stack([np.where(empty, NOTHING[0], values[2]), np.where(empty, NOTHING[1], -values[3])])
    intervals = tuple(map(_interval, values[0].tolist(), values[1].tolist()))
    if table.is_global or not table.axes:
        return Axis(1, 0, (_hull(values[:2]),), seen, table.is_global)
    turn = _turn(values[:2])
    length, advance = (count, _slope(values[0]) * count) if turn is None else (turn[0], int(turn[1][0]))
    return Axis(length, round(advance), intervals[:length], seen)


def _slope(first: np.ndarray) -> Fraction:
    """Pixels from one position to the next where positions are in no regular order: over all of them."""
    known = first[first < UNSEEN]
    return Fraction(int(known.max() - known.min()), max(1, len(first) - 1)) if len(known) else Fraction(0)


def _hull(values: np.ndarray) -> Interval | None:
    least = values.min(axis=1).tolist()
    return _interval(least[0], least[1])


def _interval(least: int, negated: int) -> Interval | None:
    return None if least >= UNSEEN else (least, -negated)
