"""One control for each value of a knob, drawn from its declaration; what a person chooses goes to the state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import streamlit as st

from explorer.networks.knob_paths import KnobPath, changed
from explorer.ui import knob_layout, state
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import KnobSet
from models.spec import Knob, Spec


def control(of: KnobSet, path: KnobPath, knob: Knob, value: Any, label: str, idle: str | None = None) -> None:
    """One control for the value at `path`: which one depends on its type and range. `idle` is why it does nothing."""
    widget, own = _widget(knob, value)
    _keep(widget, of, path, value, label, idle, help=help_text(knob, idle), **own)


def row(of: KnobSet, name: str, knob: Knob, values: tuple[Any, ...], idle: str | None = None) -> None:
    """A tuple as a row of small fields, one per entry."""
    st.markdown(f":small[{labelled(name, knob)}]", help=help_text(knob, idle))
    with st.grid(min_column_width=76 if knob.choices else 54, gap="xsmall"):
        for i, value in enumerate(values):
            widget, own = _widget(knob, value)
            widget = st.number_input if widget is st.slider else widget
            label = f"{knob_layout.label(name)} {i + 1}"
            _keep(widget, of, (name, i), value, label, idle, label_visibility="collapsed", **own)


def _keep(widget: Any, of: KnobSet, path: KnobPath, value: Any, label: str, idle: str | None, **options: Any) -> None:
    """Streamlit draws what is disabled without its help, so that the reason stands on the label's side."""
    state.keep(
        widget, key(of, path), label, value, lambda new: store(of, path, new), disabled=idle is not None, **options
    )


def key(of: KnobSet, path: KnobPath) -> str:
    """The key of the control of the value at `path`."""
    return "knob " + " ".join(map(str, (state.owner(of), *path)))


def store(of: KnobSet, path: KnobPath, new: Any) -> None:
    """Change the value at `path` in the state."""
    name, *rest = path
    state.put_knobs({name: changed(state.knob_values(of)[name], tuple(rest), new)}, of)


def labelled(name: str, knob: Knob) -> str:
    """A knob's name and unit as a person reads them."""
    return knob_layout.label(name) + (f" ({knob.unit})" if knob.unit else "")


def help_text(knob: Knob, idle: str | None = None) -> str:
    """The declared help with range and the paper's value, and why it has no effect; brackets would be Markdown."""
    unit = f" {knob.unit}" if knob.unit else ""
    limits = f" From {knob.low:g} to {knob.high:g}{unit}." if knob.low is not None and knob.high is not None else ""
    paper = f" Paper: {knob_layout.show(knob.paper)}." if knob.paper is not None else ""
    why = f"{markdown_safe(idle)} " if idle else ""
    return f"{why}{knob.help}{limits}{paper}"


def _widget(knob: Knob, value: Any) -> tuple[Any, dict[str, Any]]:
    if isinstance(value, bool):
        return st.toggle, {}
    if knob.choices is not None:
        return st.selectbox, {"options": list(knob.choices), "format_func": knob_layout.show}
    kind = type(value)
    low, high, step = (None if v is None else kind(v) for v in (knob.low, knob.high, knob.step))
    limits = {"min_value": low, "max_value": high, "step": step or _step(value)}
    if kind is float:
        limits["format"] = "%g"  # a fixed number of digits would round what a link or a preset has
    if knob_layout.is_slider(knob):
        return st.slider, limits
    return st.number_input, limits


def _step(value: int | float) -> int | float:
    """One unit of a value's first digit, for floats that declare no step: 1e-06 for 3e-06."""
    return 1 if isinstance(value, int) else 10.0 ** math.floor(math.log10(abs(value) or 0.1))


def lengths(of: KnobSet, spec: type[Spec], names: list[str], values: dict[str, Any]) -> None:
    """Buttons that add or take away the last entry of the tuples that may grow and have no table."""
    for members in knob_layout.lengths(spec):
        if len(members) == 1 and members[0] in names:
            (name,) = members
            knob = spec.knobs()[name]
            shortest, longest = knob.length or (0, 0)
            size = len(values[name])
            add_and_remove(
                of, knob_layout.label(name), (name,), size < longest, size > shortest,
                lambda name=name, knob=knob: {name: (*_values(of, name), _next(knob, _values(of, name)))},
                lambda name=name: {name: _values(of, name)[:-1]},
            )  # fmt: skip


def add_and_remove(
    of: KnobSet, what: str, place: KnobPath, may_grow: bool, may_shrink: bool,
    grown: Callable[[], dict[str, Any]], shrunk: Callable[[], dict[str, Any]],
) -> None:  # fmt: skip
    """Two buttons that change how many entries there are; `grown` and `shrunk` give the knobs that change."""
    with st.container(horizontal=True, gap="small"):
        for label, icon, may, made in (
            (f"Add {what}", ":material/add:", may_grow, grown),
            (f"Remove {what}", ":material/remove:", may_shrink, shrunk),
        ):
            st.button(label, icon=icon, type="tertiary", disabled=not may, key=f"{label} {state.owner(of)} {place}",
                      on_click=lambda made=made: state.put_knobs(made(), of))  # fmt: skip


def _values(of: KnobSet, name: str) -> tuple[Any, ...]:
    return state.knob_values(of)[name]


def _next(knob: Knob, values: tuple[Any, ...]) -> Any:
    """What a new entry begins with: the last one again, or the default's."""
    return (values or knob.default or (knob.low,))[-1]
