"""Controls for every knob of a Spec, drawn from its declaration; their values go to the state as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from explorer.networks.knob_paths import KnobPath
from explorer.ui import knob_controls, knob_layout, stage_grid, state
from explorer.ui.settings import KnobSet
from explorer.ui.state import PRESET
from models.registry import Paper
from models.spec import Knob, Spec


def paper(paper: Paper) -> None:
    """A line that cites a paper. It is no caption, which would fade the link until it cannot be read."""
    st.markdown(f":small[[{paper.title}]({paper.url}) · {paper.authors}, {paper.venue}]")


def knobs(spec: Spec, pointed: Sequence[KnobPath] = ()) -> None:
    """Draw the knobs of the preset's Spec in groups, with their values in the state, marks and resets.

    pointed: the knobs whose rows in the tables are marked.
    """
    values = state.knob_values()
    for position, (title, names) in enumerate(knob_layout.groups(type(spec)).items()):
        if title == knob_layout.SHARED:  # a table needs the width
            _listed(PRESET, spec, names, values, pointed)
            continue
        group = st.expander(title, expanded=position == 0, key=group_key(type(spec), title), on_change="rerun")
        if group.open:  # controls that nobody sees would cost as much at every change as those that are seen
            with group:
                _listed(PRESET, spec, names, values)


def group_key(spec: type[Spec], title: str) -> str:
    """The key of a group of knobs, by which the session keeps whether it is open."""
    return f"group {spec.__name__} {title}"


def changed_by_group(spec: type[Spec]) -> dict[str, int]:
    """How many knobs of each group differ from the preset, where any do."""
    counts = {title: sum(name in state.knobs() for name in names) for title, names in knob_layout.groups(spec).items()}
    return {title: count for title, count in counts.items() if count}


def plain_knobs(of: KnobSet) -> None:
    """Draw the knobs of a small Spec one below the other, but for those that are set elsewhere."""
    spec = state.base(of)
    _listed(of, spec, [name for name in type(spec).model_fields if name not in of.fixed], state.knob_values(of))


def _listed(
    of: KnobSet, spec: Spec, names: list[str], values: dict[str, Any], pointed: Sequence[KnobPath] = ()
) -> None:
    in_tables = knob_layout.in_tables(type(spec))
    idle = type(spec).idle(values)
    if in_tables & set(names):
        stage_grid.grids(of, idle, pointed)
    for name in names:
        knob = type(spec).knobs().get(name)
        if name not in in_tables and knob is not None:
            _control(of, name, knob, values[name], idle.get(name))
        _marks(of, name, knob, values[name], getattr(spec, name))
    knob_controls.lengths(of, type(spec), names, values)


def _control(of: KnobSet, name: str, knob: Knob, value: Any, idle: str | None) -> None:
    if isinstance(value, tuple):
        knob_controls.row(of, name, knob, value, idle)
    else:
        knob_controls.control(of, (name,), knob, value, knob_controls.labelled(name, knob), idle)


# -- marks ------------------------------------------------------------------------------------------------------------


def _marks(of: KnobSet, name: str, knob: Knob | None, value: Any, preset: Any) -> None:
    """What differs, from the paper and from the preset, with the way back."""
    marks = _differences(of, name, knob, value, preset)
    if not marks:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        of_table = name in knob_layout.in_tables(type(state.base(of)))
        label = f"{knob_layout.label(name)} " if of_table else ""
        st.markdown(f":small[{label}{' '.join(marks)}]", width="content")
        if name in state.knobs(of):
            st.button("Reset", key=" ".join(filter(None, ("reset", of.title, name))), type="tertiary",
                      icon=":material/undo:", on_click=state.clear_knobs, args=([name], of))  # fmt: skip


def _differences(of: KnobSet, name: str, knob: Knob | None, value: Any, preset: Any) -> list[str]:
    paper = knob.paper if knob else None
    from_paper = paper is not None and value != paper
    if name not in state.knobs(of):
        return [f":orange-badge[differs from the paper: {knob_layout.show(paper)}]"] if from_paper else []
    if from_paper and paper == preset:
        return [f":orange-badge[differs from paper and {of.origin}: {knob_layout.show(paper)}]"]
    marks = [f":orange-badge[paper: {knob_layout.show(paper)}]"] if from_paper else []
    return [*marks, f":blue-badge[{of.origin}: {knob_layout.show(preset)}]" if knob else ":blue-badge[changed]"]
