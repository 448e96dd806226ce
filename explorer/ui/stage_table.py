"""Stages as a table, as papers print them: one row a stage, one column a knob. Plain data, no Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from explorer.errors import UserError, shown
from explorer.networks.knob_paths import KnobPath, at, changed
from explorer.ui import knob_layout
from models.spec import Knob, Spec

StageRow = Mapping[str, Any]


@dataclass(frozen=True)
class StageTable:
    """One table of a Spec.

    what: what a row is called ("stage"). title: of this table among several, "" where there is one. columns: the
    knobs, by field name. rows: values by field name, None where a tuple is shorter than the others. length: the fewest
    and the most rows, None where only the network's rules say. path: of the tuple of Specs that it shows; () where
    each column is a tuple of its own.
    """

    what: str
    title: str
    columns: Mapping[str, Knob]
    rows: tuple[StageRow, ...]
    length: tuple[int, int | None]
    path: KnobPath = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The fields of the Spec that the table shows."""
        return self.path[:1] or tuple(self.columns)

    def next_row(self, fallback: StageRow = {}) -> StageRow:  # noqa: B006  (it is only read)
        """What a new row begins with: the last one again, or `fallback` where there is none."""
        last = self.rows[-1] if self.rows else fallback
        return {name: _filled(knob, last.get(name)) for name, knob in self.columns.items()}


def _filled(knob: Knob, value: Any) -> Any:
    if value is not None:
        return value
    first = knob.default[-1:] if isinstance(knob.default, tuple) else (knob.default,)
    return (first or (knob.low,))[0]


def tables(spec: type[Spec], values: Mapping[str, Any]) -> list[StageTable]:
    """The tables of a Spec with these plain values: of tuples that grow together, and of tuples of Specs."""
    beside = [_of_tuples(spec, names, values) for names in knob_layout.lengths(spec) if len(names) > 1]
    nested = [
        table
        for name, field in spec.model_fields.items()
        if name not in spec.knobs() and knob_layout.is_nested(field.annotation)
        for table in _of_specs(name, field.annotation, values[name])
    ]
    return beside + nested


def _of_tuples(spec: type[Spec], names: list[str], values: Mapping[str, Any]) -> StageTable:
    knobs = {name: spec.knobs()[name] for name in names}
    count = max(len(values[name]) for name in names)
    rows = tuple({n: values[n][i] if i < len(values[n]) else None for n in names} for i in range(count))
    return StageTable("stage", "", knobs, rows, knobs[names[0]].length or (0, None))


def _of_specs(name: str, annotation: Any, value: Any) -> list[StageTable]:
    """One table, or where the tuples are nested twice one for each entry of the outer."""
    if get_origin(annotation) is not tuple:
        return []
    inner, what = get_args(annotation)[0], knob_layout.label(name).removesuffix("s").lower()
    if get_origin(inner) is tuple:
        columns = get_args(inner)[0].knobs()
        return [
            StageTable("block", f"{what.capitalize()} {i + 1}", columns, tuple(entry), (1, None), (name, i))
            for i, entry in enumerate(value)
        ]
    return [StageTable(what, "", inner.knobs(), tuple(value), (1, None), (name,))]


def cell_of(table: StageTable, path: KnobPath) -> tuple[int, str] | None:
    """The place of the row, from 0, and the column in which a table shows the value at `path`; None if elsewhere."""
    if not table.path:
        return (path[1], path[0]) if path[0] in table.columns else None
    within = path[len(table.path) :]
    return (within[0], within[1]) if path[: len(table.path)] == table.path and len(within) == 2 else None


def edited(table: StageTable, edits: Mapping[str, Any]) -> tuple[StageRow, ...]:
    """The rows after edits as Streamlit's editor tells them: `edited_rows`, `added_rows` and `deleted_rows`.

    Raises UserError with one sentence for a cell that holds no value, or too few or too many rows. Whether the values
    make a network is not asked here.
    """
    cells = {int(place): row for place, row in edits.get("edited_rows", {}).items()}
    gone = {int(place) for place in edits.get("deleted_rows", ())}
    rows = [
        _row(table, i, {**row, **_known(table, cells.get(i, {}))}, cells.get(i, {}))
        for i, row in enumerate(table.rows)
        if i not in gone
    ]
    for new in edits.get("added_rows", ()):
        given = {name: value for name, value in _known(table, new).items() if value is not None}
        rows.append(_row(table, len(rows), {**table.next_row(), **given}, given))
    fewest, most = table.length
    if len(rows) < fewest or (most is not None and len(rows) > most):
        limits = f"{fewest} to {most}" if most is not None else f"at least {fewest}"
        raise UserError(f"{len(rows)} {table.what}s are not possible; there can be {limits}.")
    return tuple(rows)


def _known(table: StageTable, cells: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cells.items() if name in table.columns}


def _row(table: StageTable, place: int, row: StageRow, touched: Mapping[str, Any]) -> StageRow:
    """A row with the values of its touched cells as the knobs have them."""
    where = row_name(table, place)
    return {
        name: _value(knob, row.get(name), f"{where}: {name}") if name in touched else row.get(name)
        for name, knob in table.columns.items()
    }


def row_name(table: StageTable, place: int) -> str:
    """A row as a sentence begins with it: "Stage 3", "Stage 1, block 3"."""
    own = f"{table.what} {place + 1}"
    return f"{table.title}, {own}" if table.title else own.capitalize()


def _value(knob: Knob, value: Any, where: str) -> Any:
    kind = type(_filled(knob, None))
    if value is None:
        raise UserError(f"{where} is empty; it takes {knob.allowed()}.")
    if kind in (bool, str):
        return kind(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}={shown(value)} is not a number; it takes {knob.allowed()}.")
    if kind is int and value != int(value):
        raise UserError(f"{where}={shown(value)} is not a whole number; it takes {knob.allowed()}.")
    return kind(value)


def as_knobs(table: StageTable, rows: Sequence[StageRow], values: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs of the Spec that change with the table, as plain values; `values` are all those at hand."""
    if table.path:
        name, *rest = table.path
        return {name: changed(values[name], tuple(rest), tuple(dict(row) for row in rows))}
    return {name: tuple(row[name] for row in rows if row[name] is not None) for name in table.columns}


def problem(table: StageTable) -> str | None:
    """One sentence for the first cell whose value the knob does not take, None where all are right."""
    for place, row in enumerate(table.rows):
        for name, knob in table.columns.items():
            value = row.get(name)
            if value is not None and (said := knob.problem(name, value)):
                return f"{row_name(table, place)}: {said}."
    return None


def without(values: Mapping[str, Any], path: KnobPath) -> dict[str, Any]:
    """The knobs that change where the last entry of the tuple at `path` goes."""
    return {path[0]: changed(values[path[0]], path[1:], at(values, path)[:-1])}


def with_another(values: Mapping[str, Any], path: KnobPath, preset: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs that change where the last entry of the tuple at `path` comes again, or the preset's if it is empty."""
    entries = at(values, path)
    another = entries[-1] if entries else at(preset, path)[-1]
    return {path[0]: changed(values[path[0]], path[1:], (*entries, another))}
