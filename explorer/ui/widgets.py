"""Controls for every knob of a Spec, drawn from its declaration; their values go to the state as plain data."""

from __future__ import annotations

import math
from typing import Any, get_args, get_origin

import streamlit as st

from explorer.networks.knob_text import plain
from explorer.ui import knob_layout, state
from explorer.ui.knob_layout import KnobPath
from explorer.ui.settings import KnobSet
from explorer.ui.state import PRESET
from models.registry import Paper
from models.spec import Knob, Spec


def paper(paper: Paper) -> None:
    """A line that cites a paper. It is no caption, which would fade the link until it cannot be read."""
    st.markdown(f":small[[{paper.title}]({paper.url}) · {paper.authors}, {paper.venue}]")


def knobs(spec: Spec) -> None:
    """Draw the knobs of the preset's Spec in groups, with their values in the state, marks and resets."""
    values = state.knob_values()
    for position, (title, names) in enumerate(knob_layout.groups(type(spec)).items()):
        count = sum(name in state.knobs() for name in names)
        marked = f"{title} :blue-badge[{count} changed]" if count else title
        with st.expander(marked, expanded=position == 0, key=f"group {type(spec).__name__} {title}"):
            _listed(PRESET, spec, names, values)


def plain_knobs(of: KnobSet) -> None:
    """Draw the knobs of a small Spec one below the other, but for those that are set elsewhere."""
    spec = state.base(of)
    _listed(of, spec, [name for name in type(spec).model_fields if name not in of.fixed], state.knob_values(of))


def _listed(of: KnobSet, spec: Spec, names: list[str], values: dict[str, Any]) -> None:
    for name in names:
        _field(of, spec, name, values[name])
    _lengths(of, type(spec), names, values)


def _field(of: KnobSet, spec: Spec, name: str, value: Any) -> None:
    knob = type(spec).knobs().get(name)
    if knob is None:
        _nested(of, type(spec).model_fields[name].annotation, (name,), value)
    elif isinstance(value, tuple):
        _row(of, name, knob, value)
    else:
        _single(of, (name,), knob, value, _label(name, knob))
    _marks(of, name, knob, value, getattr(spec, name))


def _key(of: KnobSet, path: KnobPath) -> str:
    return "knob " + " ".join(map(str, (state.owner(of), *path)))


def _label(name: str, knob: Knob) -> str:
    return knob_layout.label(name) + (f" ({knob.unit})" if knob.unit else "")


# -- one value --------------------------------------------------------------------------------------------------------


def _single(of: KnobSet, path: KnobPath, knob: Knob, value: Any, label: str, **options: Any) -> None:
    """One control for the value at `path`: which one depends on its type and range."""
    widget, own = _widget(knob, value)
    options = {"help": _help(knob), **own, **options}
    state.keep(widget, _key(of, path), label, value, lambda new: _store(of, path, new), **options)


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


def _help(knob: Knob) -> str:
    """The declared help with range and the paper's value; brackets would be read as Markdown."""
    unit = f" {knob.unit}" if knob.unit else ""
    limits = f" From {knob.low:g} to {knob.high:g}{unit}." if knob.low is not None and knob.high is not None else ""
    paper = f" Paper: {knob_layout.show(knob.paper)}." if knob.paper is not None else ""
    return f"{knob.help}{limits}{paper}"


def _store(of: KnobSet, path: KnobPath, new: Any) -> None:
    name, *rest = path
    state.put_knobs({name: knob_layout.changed(state.knob_values(of)[name], tuple(rest), new)}, of)


# -- tuples and nested Specs ------------------------------------------------------------------------------------------


def _row(of: KnobSet, name: str, knob: Knob, values: tuple[Any, ...]) -> None:
    """A tuple as a row of small fields, one per entry."""
    st.markdown(f":small[{_label(name, knob)}]", help=_help(knob))
    with st.grid(min_column_width=76 if knob.choices else 54, gap="xsmall"):
        for i, value in enumerate(values):
            _entry(of, (name, i), knob, value)


def _entry(of: KnobSet, path: KnobPath, knob: Knob, value: Any) -> None:
    label = f"{knob_layout.label(str(path[0]))} {path[-1] + 1}"
    widget, options = _widget(knob, value)
    if widget is st.slider:
        widget = st.number_input
    state.keep(
        widget, _key(of, path), label, value, lambda new: _store(of, path, new), label_visibility="collapsed", **options
    )  # fmt: skip


def _lengths(of: KnobSet, spec: type[Spec], names: list[str], values: dict[str, Any]) -> None:
    """Buttons that add or take away the last entry, of all tuples that belong together at once."""
    for members in knob_layout.lengths(spec):
        if not set(members) <= set(names):
            continue
        limits = spec.knobs()[members[0]].length or (0, 0)
        size = max(len(values[name]) for name in members)
        what = "stage" if len(members) > 1 else knob_layout.label(members[0])
        with st.container(horizontal=True):
            _button(f"Add {what}", ":material/add:", size >= limits[1], _grow, of, members, spec)
            _button(f"Remove {what}", ":material/remove:", size <= limits[0], _shrink, of, members)


def _button(label: str, icon: str, disabled: bool, action: Any, of: KnobSet, path: Any, *arguments: Any) -> None:
    st.button(label, icon=icon, disabled=disabled, on_click=action, args=(of, path, *arguments),
              key=f"{label} {state.owner(of)} {path}")  # fmt: skip


def _grow(of: KnobSet, names: list[str], spec: type[Spec]) -> None:
    values = state.knob_values(of)
    state.put_knobs({name: (*values[name], _next(spec.knobs()[name], values[name])) for name in names}, of)


def _next(knob: Knob, values: tuple[Any, ...]) -> Any:
    """What a new entry begins with: the last one again, or the default's."""
    return (values or knob.default or (knob.low,))[-1]


def _shrink(of: KnobSet, names: list[str]) -> None:
    values = state.knob_values(of)
    state.put_knobs({name: values[name][:-1] for name in names}, of)


def _nested(of: KnobSet, annotation: Any, path: KnobPath, value: Any) -> None:
    """Specs inside the Spec: an expander per outermost entry, whose fields are drawn when it is opened."""
    if get_origin(annotation) is not tuple:
        _fields(of, annotation, path, value)
        return
    inner = get_args(annotation)[0]
    for i, entry in enumerate(value):
        title = f"{knob_layout.label(str(path[0])).removesuffix('s')} {i + 1}"
        opened = st.expander(title, key=f"nested {state.owner(of)} {path} {i}", on_change="rerun", type="compact")
        if opened.open:
            with opened:
                _entries(of, inner, (*path, i), entry)
    _entry_buttons(of, path, value, knob_layout.label(str(path[0])).removesuffix("s").lower())


def _entries(of: KnobSet, annotation: Any, path: KnobPath, value: Any) -> None:
    if get_origin(annotation) is not tuple:
        _fields(of, annotation, path, value)
        return
    for i, entry in enumerate(value):
        st.markdown(f"**Module {i + 1}**")
        _entries(of, get_args(annotation)[0], (*path, i), entry)
    _entry_buttons(of, path, value, "module")


def _fields(of: KnobSet, spec: type[Spec], path: KnobPath, value: dict[str, Any]) -> None:
    with st.grid(min_column_width=96, gap="xsmall"):
        for name, knob in spec.knobs().items():
            _single(of, (*path, name), knob, value[name], knob_layout.label(name))


def _entry_buttons(of: KnobSet, path: KnobPath, value: tuple[Any, ...], what: str) -> None:
    with st.container(horizontal=True):
        _button(f"Add {what}", ":material/add:", False, _store, of, path, (*value, _another(of, path, value)))
        _button(f"Remove {what}", ":material/remove:", len(value) < 2, _store, of, path, value[:-1])


def _another(of: KnobSet, path: KnobPath, value: tuple[Any, ...]) -> Any:
    """What a new entry begins with: the last one again, or the preset's where a link has emptied the tuple."""
    return value[-1] if value else knob_layout.at(plain(state.base(of)), path)[-1]


# -- marks ------------------------------------------------------------------------------------------------------------


def _marks(of: KnobSet, name: str, knob: Knob | None, value: Any, preset: Any) -> None:
    """What differs, from the paper and from the preset, with the way back."""
    marks = _differences(of, name, knob, value, preset)
    if not marks:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":small[{' '.join(marks)}]", width="content")
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
