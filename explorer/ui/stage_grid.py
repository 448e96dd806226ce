"""The table of stages as one grid of cells that can be edited, with rows to add and remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from explorer.errors import UserError
from explorer.networks.knob_paths import KnobPath, at
from explorer.networks.knob_text import plain
from explorer.ui import knob_layout, stage_table, state
from explorer.ui.components import keeps_focus
from explorer.ui.knob_controls import add_and_remove, help_text, labelled
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import KnobSet
from explorer.ui.stage_table import StageRow, StageTable
from models.spec import Knob

NUMBER, MARK = "#", "●"


@dataclass
class _Shown:
    """What the grid was given, and what its edits made of it.

    The editor lays its edits over the rows that it was given: it has to be given the same until something else than
    itself changes them, and then it has to be another editor (`version`), or the edits would be made once more.
    """

    given: tuple[StageRow, ...]
    made: tuple[StageRow, ...]
    marked: frozenset[int] = frozenset()
    version: int = 0
    refusal: str = ""


def grids(of: KnobSet, idle: dict[str, str], pointed: Sequence[KnobPath] = ()) -> None:
    """Draw every table of the Spec; `idle` says why a knob has no effect, `pointed` which rows to mark."""
    spec, values = type(state.base(of)), state.knob_values(of)
    tables = stage_table.tables(spec, values)
    for table in tables:
        _grid(of, table, idle, _marked(table, pointed))
    if tables:
        _legend(tables[0])
    for name in dict.fromkeys(table.path[0] for table in tables if len(table.path) == 2):
        _outer_buttons(of, name, values)
    for name in _emptied(spec, values, tables):
        _outer_buttons(of, name, values)


def _emptied(spec: Any, values: dict[str, Any], tables: list[StageTable]) -> list[str]:
    """Tuples of tuples that a link has emptied: they have no table, only the button that fills them."""
    shown = {table.path[0] for table in tables if table.path}
    nested = (name for name in spec.model_fields if name not in spec.knobs())
    return [name for name in nested if name not in shown and values[name] == ()]


def _marked(table: StageTable, pointed: Sequence[KnobPath]) -> frozenset[int]:
    """The places of the rows in which a pointed knob stands."""
    return frozenset(cell[0] for path in pointed if (cell := stage_table.cell_of(table, path)))


def _grid(of: KnobSet, table: StageTable, idle: dict[str, str], marked: frozenset[int]) -> None:
    name = f"grid {state.owner(of)} {' '.join(map(str, table.path))}".strip()
    shown = _up_to_date(name, table, marked)
    if table.title:
        st.markdown(f":small[{table.title}]")
    numbers = {NUMBER: [f"{i + 1} {MARK}" if i in marked else f"{i + 1}" for i in range(len(shown.given))]}
    with keeps_focus(name, shown.version):
        st.data_editor(
            numbers | {column: [row.get(column) for row in shown.given] for column in table.columns},
            key=f"{name} {shown.version}", num_rows="dynamic", hide_index=True, width="stretch", row_height=32,
            column_config=_columns(replace(table, rows=shown.given), idle), on_change=_take, args=(of, table, name),
            alt=f"Table of each {table.title or table.what}",
        )  # fmt: skip
    if said := shown.refusal or stage_table.problem(table):
        st.markdown(f":red[:material/error: {markdown_safe(said)}]")
    _row_buttons(of, table)


def _legend(table: StageTable) -> None:
    """What the symbols above the columns stand for."""
    headings = knob_layout.headings(list(table.columns))
    words = {symbol: knob_layout.label(name).lower() for name, symbol in headings.items()}
    told = [f"{symbol}: {word}" for symbol, word in words.items() if not word.startswith(symbol.lower())]
    if told:
        st.caption(" · ".join(told))


def _up_to_date(name: str, table: StageTable, marked: frozenset[int]) -> _Shown:
    shown: _Shown | None = st.session_state.get(name)
    if shown is None:
        shown = st.session_state[name] = _Shown(table.rows, table.rows, marked)
    elif (shown.made, shown.marked) != (table.rows, marked):  # undone, reset, or of another link or layer
        shown = st.session_state[name] = _Shown(table.rows, table.rows, marked, shown.version + 1)
    return shown


def _take(of: KnobSet, table: StageTable, name: str) -> None:
    """Hand the edits on; what is no value comes back as it was, with the sentence that says why."""
    shown: _Shown = st.session_state[name]
    edits = st.session_state[f"{name} {shown.version}"]
    try:
        rows = stage_table.edited(replace(table, rows=shown.given), edits)
    except UserError as error:
        st.session_state[name] = _Shown(shown.made, shown.made, shown.marked, shown.version + 1, str(error))
        return
    if edits["added_rows"] or edits["deleted_rows"]:
        st.session_state[name] = _Shown(rows, rows, shown.marked, shown.version + 1)
    else:
        shown.made, shown.refusal = rows, ""
    state.put_knobs(stage_table.as_knobs(table, rows, state.knob_values(of)), of)


def _columns(table: StageTable, idle: dict[str, str]) -> dict[str, Any]:
    first = table.next_row()
    headings = knob_layout.headings(list(table.columns))
    own = {n: _column(headings[n], n, knob, first[n], idle.get(n)) for n, knob in table.columns.items()}
    number = st.column_config.TextColumn(NUMBER, width=36, disabled=True, pinned=True, help=f"The {table.what}.")
    return {NUMBER: number, **own}


def _column(heading: str, name: str, knob: Knob, default: Any, idle: str | None) -> Any:
    """A column without limits of its own: what it refused would be lost without a word."""
    options: dict[str, Any] = {
        "label": heading, "help": f"{labelled(name, knob)}: {help_text(knob, idle)}", "disabled": idle is not None,
        "default": default, "width": max(8 * len(heading) + 40, 8 * len(str(default)) + 20),
    }  # fmt: skip
    if isinstance(default, bool):
        return st.column_config.CheckboxColumn(**options)
    if knob.choices is not None:
        return st.column_config.SelectboxColumn(options=list(knob.choices), **options)
    return st.column_config.NumberColumn(step=1 if isinstance(default, int) else None, **options)


def _row_buttons(of: KnobSet, table: StageTable) -> None:
    """For fingers and keys: the last row again, and the last row away."""
    fewest, most = table.length

    def made(rows: tuple[StageRow, ...]) -> dict[str, Any]:
        return stage_table.as_knobs(table, rows, state.knob_values(of))

    def grown() -> dict[str, Any]:
        preset = plain(state.base(of))
        fallback = {} if table.rows or not table.path else at(preset, table.path)[-1]
        return made((*table.rows, table.next_row(fallback)))

    add_and_remove(
        of, table.what, table.path, most is None or len(table.rows) < most, len(table.rows) > fewest,
        grown, lambda: made(table.rows[:-1]),
    )  # fmt: skip


def _outer_buttons(of: KnobSet, name: str, values: dict[str, Any]) -> None:
    what = knob_layout.label(name).removesuffix("s").lower()
    add_and_remove(
        of, what, (name,), True, len(values[name]) > 1,
        lambda: stage_table.with_another(state.knob_values(of), (name,), plain(state.base(of))),
        lambda: stage_table.without(state.knob_values(of), (name,)),
    )  # fmt: skip
