"""The knobs that made the chosen layer: their controls beside the layer, and their rows in the tables of stages."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from explorer.networks.catalog import spec_key
from explorer.networks.knob_of_layer import knobs_of_layer
from explorer.networks.knob_paths import KnobPath, at, leaves
from explorer.ui import knob_controls, knob_layout, stage_table, state
from explorer.ui.awaited import awaited
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from models.spec import Spec, knob_at

SETTINGS = (Setting("made_by", False),)
_LAST, _WHOLE = "knobs that made a layer", "Whole network"


def found(session: Session) -> Sequence[KnobPath]:
    """Draw the switch that asks, as each knob is tried; return the paths of those knobs, none while it is off.

    While the answer for a changed network is worked out, it is that of the network before.
    """
    layer, spec, architecture = session.layer, session.spec, session.architecture
    state.control(st.toggle, "made_by", f"Knobs that made {markdown_safe(layer)}")
    if not state.get("made_by"):
        return ()
    answer = awaited(
        "knobs of layer", (spec_key(spec), layer), "Trying each knob",
        lambda _: knobs_of_layer(spec, architecture, layer),
    )  # fmt: skip
    of, last = st.session_state.get(_LAST, (None, ()))
    if answer is None:
        return last if of == (session.preset, layer) else ()
    st.session_state[_LAST] = (session.preset, layer), answer
    if not answer:
        st.caption("No knob changes this layer itself.")
    return answer


def controls(session: Session) -> None:
    """Draw the controls of the knobs that made the layer, stage by stage, then those of the whole network."""
    values, cls = state.knob_values(), type(session.spec)
    there = set(leaves(values))
    for title, labels in _rows(cls, [path for path in found(session) if path in there]).items():
        st.markdown(f":small[**{title}**]")
        with st.grid(min_column_width=120, gap="xsmall"):
            for path, label in labels.items():
                _control(cls, path, label)


def _rows(cls: type[Spec], paths: Sequence[KnobPath]) -> dict[str, dict[KnobPath, str]]:
    """The label of each path, by the row of the table that it stands in."""
    tables, rows = stage_table.tables(cls, state.knob_values()), {}
    for path in paths:
        cells = ((table, cell) for table in tables if (cell := stage_table.cell_of(table, path)))
        if (found_in := next(cells, None)) is not None:
            table, (place, column) = found_in
            rows.setdefault(stage_table.row_name(table, place), {})[path] = knob_layout.label(column)
        else:
            rows.setdefault(_WHOLE, {})[path] = _label(cls, path)
    return dict(sorted(rows.items(), key=lambda row: row[0] == _WHOLE))


def _label(cls: type[Spec], path: KnobPath) -> str:
    """Its name and unit; before it the Spec within which it is, behind it its place in a tuple."""
    name, knob = next(step for step in reversed(path) if isinstance(step, str)), knob_at(cls, path)
    own = knob_controls.labelled(name, knob) if knob else knob_layout.label(name)
    around = [str(step + 1) if isinstance(step, int) else knob_layout.label(step) for step in path]
    around[path.index(name)] = own
    return " ".join(around)


def _control(cls: type[Spec], path: KnobPath, label: str) -> None:
    """Nothing where a draft of a network has a value that no control can show."""
    knob, value = knob_at(cls, path), at(state.knob_values(), path)
    if knob and not knob.problem(path[0], value):
        idle = cls.idle(state.knob_values()).get(path[0])
        knob_controls.control(state.PRESET, path, knob, value, label, idle)
