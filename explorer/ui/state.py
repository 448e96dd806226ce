"""The state of one browser session, kept whole in its link.

Streamlit forgets widgets that are not drawn, and its own binding of widgets to the link passes over bad values in
silence and knows nothing of knobs. So the state lives here, under one key; widgets are set from it and write to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

import models
from explorer.errors import UserError
from explorer.networks.knob_text import encode_knob, plain, shorten
from explorer.ui import opened, settings
from explorer.ui.history import Edit, History
from explorer.ui.settings import KnobSet, Setting
from models.spec import Spec


def _or_first(name: str) -> str:
    """This preset, or the first where the file that has it is broken."""
    return name if name in models.presets() else models.presets()[0]


def _check_preset(name: str) -> None:
    if name not in models.presets():
        opened.check_name(name)


START = _or_first("resnet50")  # what the bare address opens
UNNAMED = _or_first("zfnet_mini")  # what a link means that names none: it is from when links left this one out
CORE = (
    Setting("preset", START, check=_check_preset),
    Setting("weights", "", of_network=True, instead="the best that the preset has"),
    Setting("seed", 0, low=0, high=2**31 - 1),
    Setting("layer", "", of_network=True),  # "" is the view's own choice
    Setting("channel", -1, low=-1, high=65_535, of_network=True),
    Setting("row", -1, low=-1, high=65_535, of_network=True),  # of the chosen unit, -1 as above
    Setting("column", -1, low=-1, high=65_535, of_network=True),
)
PRESET = KnobSet("k.", lambda values: _preset_spec(values["preset"]), lambda values: values["preset"])
_STATE, _KNOBS, _WRITTEN, _FRESH, _NOTICES = "state", "knobs", "written", "fresh", "notices"
_SHOWN, _OWN, _HISTORY = "shown", "names of own files", "history"
# The number of this run, of the last one of the whole page, and of the one that drew last what this one draws.
_RUN, _WHOLE, _BEFORE = "run", "whole run", "run before"
SETTLING_S = 10.0
NOT_IN_LINK = ("upload", "camera", "file")  # a link has the file's name alone, to tell a reload what it lost
LONGEST_NAME = 60


def _preset_spec(name: str) -> Spec | None:
    return models.preset(name).spec if name in models.presets() else None


def begin(extra: Iterable[Setting], knob_sets: Iterable[KnobSet] = ()) -> None:
    """Start a run: take over the link of a new session, or the one that a person went back to.

    Else the state is newer: a click that overtakes the answer to the one before it brings the link of before.
    """
    table = {setting.name: setting for setting in (*CORE, *extra)}
    st.session_state["settings"] = table
    st.session_state["knob sets"] = (PRESET, *knob_sets)
    run = st.session_state.get(_RUN, 0) + 1
    st.session_state[_BEFORE] = st.session_state.get(_WHOLE, run - 1)
    st.session_state[_RUN] = st.session_state[_WHOLE] = run
    st.session_state[_FRESH] = _STATE not in st.session_state or _went_back()
    if st.session_state[_FRESH]:
        before = st.session_state.get(_STATE, {})
        _read(st.query_params.to_dict(), table)
        _keep_own(before)
        _record()


def resume() -> None:
    """Start a run of a part of the page alone: no link is taken over."""
    st.session_state[_BEFORE] = st.session_state[_RUN]
    st.session_state[_RUN] += 1
    st.session_state[_FRESH] = False


def _keep_own(before: Mapping[str, Any]) -> None:
    """A person's picture stays over *Back*, and their weights do within the preset: no link can name them."""
    values = st.session_state[_STATE]
    for name, default in (("image", ""), ("weights", "")):
        is_of_here = name == "image" or before.get("preset") == values["preset"]
        if before.get(name) in NOT_IN_LINK and values[name] == default and is_of_here:
            values[name] = before[name]


def _went_back() -> bool:
    """Whether this run comes from the browser's *Back* or *Forward*."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def start_over() -> None:
    """Put everything but the view back to its default, where the preset cannot be opened."""
    _read({"view": get("view"), "preset": START}, st.session_state["settings"])
    _record()


def end() -> None:
    """Finish a run: write what differs from the defaults to the link."""
    params = link()
    # What this run was told of the browser's link may be older than what the run before wrote there.
    if params != st.query_params.to_dict() or params != st.session_state.get(_WRITTEN):
        st.query_params.from_dict(params)
    st.session_state[_WRITTEN] = params


def link() -> dict[str, str]:
    """The parameters of the link that opens this state: its preset in any case, unless the bare address opens it."""
    others = _others()
    is_bare = not others and get("preset") == START
    return {} if is_bare else {"preset": get("preset"), **others}


def _others() -> dict[str, str]:
    """All of the link but the preset, as far as it differs from the defaults."""
    table, values = st.session_state["settings"], st.session_state[_STATE]
    changed = {name: s for name, s in table.items() if name != "preset" and values[name] != s.default}
    found = {name: s.encode(values[name]) for name, s in changed.items() if values[name] not in NOT_IN_LINK}
    found |= {name: f"{values[name]}:{own}" for name in changed if (own := _own_names().get(values[name]))}
    changes = {of.prefix + name: value for of in _knob_sets() for name, value in knobs(of).items()}
    return found | {name: encode_knob(value) for name, value in changes.items()}


def name_own(kind: str, name: str | None) -> None:
    """Keep what a person's own file of this kind (one of NOT_IN_LINK) is called; None where there is none any more."""
    kept = "".join(filter(str.isprintable, name or ""))[:LONGEST_NAME]
    st.session_state[_OWN] = {**_own_names(), kind: kept}


def _own_names() -> dict[str, str]:
    return st.session_state.get(_OWN, {})


def get(name: str) -> Any:
    """The value of a setting."""
    return st.session_state[_STATE][name]


def put(name: str, value: Any) -> None:
    """Change a setting; what hangs on a preset (knobs, weights, layer, class) goes with it."""
    values = st.session_state[_STATE]
    if name == "view" and value != values["view"]:
        st.session_state[_NOTICES] = []
    if name == "preset" and value != values["preset"]:
        _open_preset(value)
    values[name] = value
    if name in ("preset", "weights"):
        _record()


def _open_preset(name: str) -> None:
    """Another preset, as it is: what hangs on the one before goes with it."""
    values, table = st.session_state[_STATE], st.session_state["settings"].values()
    st.session_state[_KNOBS] = {**st.session_state[_KNOBS], PRESET.prefix: {}}
    values.update({setting.name: setting.default for setting in table if setting.of_network})
    values["preset"] = name


def history() -> History:
    """The changes of preset, weights and knobs that can be undone and redone."""
    return st.session_state[_HISTORY]


def undo() -> None:
    """Take the last change of preset, weights or knobs back."""
    _go_to(history().undo())


def redo() -> None:
    """Make the change that was taken back last again."""
    _go_to(history().redo())


def take_up(edit: Edit, seed: int) -> None:
    """Edit another network from now on: one step that can be undone, but for the seed of random weights."""
    _go_to(history().record(edit))
    put("seed", seed)


def _go_to(there: History) -> None:
    values, edit = st.session_state[_STATE], there.present
    if edit.preset != values["preset"]:
        _open_preset(edit.preset)
    values["weights"] = edit.weights
    st.session_state[_KNOBS] = {**st.session_state[_KNOBS], PRESET.prefix: dict(edit.knobs)}
    st.session_state[_HISTORY] = there


def _record() -> None:
    """Make the preset, weights and knobs at hand a step that can be undone, if they are not those of the last."""
    edit = Edit(get("preset"), get("weights"), knobs())
    before = st.session_state.get(_HISTORY)
    st.session_state[_HISTORY] = before.record(edit) if before else History(edit)


def base(of: KnobSet = PRESET) -> Spec:
    """The Spec that the knobs change."""
    spec = of.spec(st.session_state[_STATE])
    assert spec is not None, f"nothing is chosen for {of.title}"
    return spec


def owner(of: KnobSet = PRESET) -> str:
    """The name of what has the knobs, for the keys of their controls."""
    return of.owner(st.session_state[_STATE])


def knobs(of: KnobSet = PRESET) -> dict[str, Any]:
    """The knobs that differ from the preset, as plain values; together they may be no valid Spec."""
    return st.session_state[_KNOBS].get(of.prefix, {})


def knob_values(of: KnobSet = PRESET) -> dict[str, Any]:
    """All knobs with their values at hand, as plain values."""
    return {**plain(base(of)), **knobs(of)}


def put_knobs(values: Mapping[str, Any], of: KnobSet = PRESET) -> None:
    """Change knobs, given as plain values."""
    _keep(of, settings.changed_knobs(base(of), {**knobs(of), **values}))


def open_network(preset: str, values: Mapping[str, Any]) -> None:
    """A preset with these knobs, given as plain values, and no others: one step that can be undone."""
    if preset != get("preset"):
        _open_preset(preset)
    _keep(PRESET, settings.changed_knobs(base(), dict(values)))


def clear_knobs(names: Iterable[str] | None = None, of: KnobSet = PRESET) -> None:
    """Back to the preset's values, for some knobs or all."""
    gone = set(knobs(of) if names is None else names)
    _keep(of, {name: value for name, value in knobs(of).items() if name not in gone})


def _keep(of: KnobSet, changed: dict[str, Any]) -> None:
    st.session_state[_KNOBS] = {**st.session_state[_KNOBS], of.prefix: changed}
    if of is PRESET:
        _record()


def _knob_sets() -> tuple[KnobSet, ...]:
    return st.session_state["knob sets"]


def control(widget: Callable[..., Any], name: str, label: str, **options: Any) -> Any:
    """Draw a Streamlit widget that shows and changes a setting."""
    return keep(widget, name, label, get(name), lambda value: put(name, value), **options)


def keep(
    widget: Callable[..., Any], key: str, label: str, value: Any, store: Callable[[Any], None], **options: Any
) -> Any:
    """Draw a widget that shows `value` whatever it showed before, and hands what a person chooses to `store`."""
    key, run, before = f"widget:{key}", st.session_state[_RUN], st.session_state[_BEFORE]
    shown: dict[str, _Shown] = st.session_state.setdefault(_SHOWN, {})
    # A browser starts one that the page before had not with its default, unless told our value; of answers that come
    # close together it may draw the last alone, so that it is told for a while: until a person uses it, as being told
    # takes back what they chose since.
    last, now = shown.get(key), time.monotonic()
    since_s = last.since_s if last and last.run >= before and st.session_state.get(key) == value else now
    if now - since_s < SETTLING_S:
        st.session_state[key] = value
    shown[key] = _Shown(value, run, since_s, options.get("options"))
    return widget(label, key=key, on_change=lambda: _take(key, store, shown[key]), **options)


@dataclass
class _Shown:
    """What a widget showed last, in which run, since when it shows that without a gap, and out of which values."""

    value: Any
    run: int
    since_s: float
    offered: Collection[Any] | None


def _take(key: str, store: Callable[[Any], None], shown: _Shown) -> None:
    """Hand on what a person chose: not a switch that was clicked off, nor what the widget showed anyway.

    A click that overtakes the answer to the one before it brings the values of all widgets of the old page, which
    the widget may not offer any more.
    """
    value = st.session_state[key]
    is_offered = shown.offered is None or value in shown.offered
    if value is not None and value != shown.value and is_offered:
        shown.value, shown.since_s = value, -math.inf
        store(value)


def notices() -> list[str]:
    """What was refused in the link, one sentence each, until the next link or another view."""
    return st.session_state.get(_NOTICES, [])


def is_fresh() -> bool:
    """Whether this run took its state from a link that a person opened."""
    return bool(st.session_state.get(_FRESH))


def refuse(name: str, why: str) -> None:
    """Put a setting of the link back to its default, with the sentence that says why."""
    default = st.session_state["settings"][name].default
    st.session_state[_NOTICES].append(f"{name}={shorten(str(get(name)))} {why}.")
    st.session_state[_STATE][name] = default


def _read(params: Mapping[str, str], table: Mapping[str, Setting]) -> None:
    values = {name: setting.default for name, setting in table.items()} | {"preset": _unsaid_preset(params, table)}
    known = ("embed", *(of.prefix for of in _knob_sets()))
    refused = []
    for name, text in params.items():
        if name in table:
            try:
                values[name] = _own_of(table[name], text) or table[name].decode(text)
            except UserError as error:
                refused.append(str(error))
        elif not name.startswith(known):
            refused.append(f"{shorten(name)} is not a setting of this page.")
    st.session_state[_STATE] = values
    st.session_state[_KNOBS] = {of.prefix: _read_knobs(of, params, refused) for of in _knob_sets()}
    st.session_state[_NOTICES] = refused


def _unsaid_preset(params: Mapping[str, str], table: Mapping[str, Setting]) -> str:
    """The network where these parameters name none that can be opened."""
    prefixes = tuple(of.prefix for of in _knob_sets())
    is_link = any(name in table or name.startswith(prefixes) for name in params)
    return UNNAMED if is_link and "preset" not in params else START


def _own_of(setting: Setting, text: str) -> str | None:
    """The kind of a person's own file that the link names, where this session has it. Raises UserError where not."""
    kind, colon, name = text.partition(":")
    if setting.name not in ("image", "weights") or kind not in NOT_IN_LINK or not colon:
        return None
    if not _own_names().get(kind):
        raise UserError(
            f"{setting.name}={kind}: your own {shorten(name)} is gone, as no link holds a file; {setting.instead} is "
            "used until you choose it again."
        )
    return kind


def _read_knobs(of: KnobSet, params: Mapping[str, str], refused: list[str]) -> dict[str, Any]:
    spec = of.spec(st.session_state[_STATE])
    found = {}
    for name, text in params.items():
        if name.startswith(of.prefix):
            knob = name.removeprefix(of.prefix)
            try:
                found[knob] = of.decode(spec, knob, text)
            except UserError as error:
                refused.append(str(error))
    return settings.changed_knobs(spec, found) if spec else {}
