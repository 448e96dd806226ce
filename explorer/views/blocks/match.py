"""*Match budget* in the Blocks view: a knob of one block is changed until it costs as much as another."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from explorer.errors import UserError
from explorer.networks import budget
from explorer.networks.budget import FIGURES, Match
from explorer.networks.catalog import spec_key
from explorer.networks.knob_text import plain, shorten
from explorer.types import InputSize
from explorer.ui import knob_layout, state
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import Setting
from explorer.views.blocks import lineup
from explorer.views.blocks.lineup import Slot
from models.spec import Spec

SETTINGS = (
    Setting("figure", "macs", choices=tuple(FIGURES)),
    Setting("match", 2, low=1, high=4),
    Setting("match_to", 1, low=1, high=4),
    Setting("match_knob", ""),  # "" is the first that reaches the budget
)
FIGURE_TITLES = {"macs": "MACs", "params": "Parameters"}
_LAST = "last match"


def render(slots: Sequence[Slot]) -> None:
    """Which figure, of which block, by which knob; the button; and what came of it."""
    labels = {slot.place: slot.label for slot in slots}
    changed, wanted = _chosen(slots)
    with st.grid(min_column_width=150, gap="small"):
        state.control(st.selectbox, "figure", "Match", options=list(FIGURES), format_func=FIGURE_TITLES.__getitem__)
        state.keep(st.selectbox, "match", "of", changed.place, lambda place: _choose("match", place),
                   options=list(labels), format_func=labels.__getitem__)  # fmt: skip
        state.keep(st.selectbox, "match_to", "to", wanted.place, lambda place: _choose("match_to", place),
                   options=[place for place in labels if place != changed.place],
                   format_func=labels.__getitem__)  # fmt: skip
        knob = _knob(changed)
    ready = changed.built is not None and wanted.built is not None
    st.button("Match budget", type="primary", icon=":material/balance:", disabled=not ready, on_click=_match,
              args=(changed, wanted, knob))  # fmt: skip
    _outcome(changed)


def _chosen(slots: Sequence[Slot]) -> tuple[Slot, Slot]:
    """The block that is changed and the one that it is matched to, which are two."""
    by_place = {slot.place: slot for slot in slots}
    changed = by_place.get(state.get("match"), slots[1])
    others = {place: slot for place, slot in by_place.items() if slot is not changed}
    wanted = others.get(state.get("match_to"), next(iter(others.values())))
    if state.is_fresh():
        for name, slot in (("match", changed), ("match_to", wanted)):
            if state.get(name) != slot.place:
                _warn(f"{name}={state.get(name)} is no block that can stand there; block {slot.place} is used.")
    return changed, wanted


def _warn(sentence: str) -> None:
    st.warning(markdown_safe(sentence), icon=":material/link_off:")


def _choose(name: str, place: int) -> None:
    state.put(name, place)
    state.put("match_knob", "")


def _knob(changed: Slot) -> str:
    """The knob that is solved; a link that names one that the block does not have is told so."""
    offered = _offered(spec_key(changed.built.spec), lineup.input_size(), state.get("figure"),
                       changed.built.spec) if changed.built else []  # fmt: skip
    asked = state.get("match_knob")
    shown = asked if asked in offered else ""
    if asked != shown and state.is_fresh():
        what = FIGURES[state.get("figure")]
        _warn(f"match_knob={shorten(asked)} does not change the {what} of {changed.label} alone; the first is used.")
    state.keep(
        st.selectbox, "match_knob", "by", shown, lambda name: state.put("match_knob", name), options=["", *offered],
        format_func=lambda name: knob_layout.label(name) if name else "Automatic",
        help="Automatic: width first, then expansion, until one comes within 1 %. All of these keep the map's size.",
    )  # fmt: skip
    return shown


@st.cache_data(max_entries=256, show_spinner=False)
def _offered(key: str, size: InputSize, figure: str, _spec: Spec) -> list[str]:
    return budget.knobs(_spec, size, figure)


def _match(changed: Slot, wanted: Slot, knob: str) -> None:
    """Solve the knob and put its value into the state."""
    assert changed.built
    assert wanted.built
    figure = state.get("figure")
    target = getattr(wanted.built.analysis, figure)
    try:
        found = budget.match(changed.built.spec, lineup.input_size(), figure, target, knob or None)
    except UserError as error:
        st.session_state[_LAST] = changed.place, changed.built.spec, str(error)
        return
    state.put_knobs(plain(found.spec), changed.knobs)
    st.session_state[_LAST] = changed.place, found.spec, found


def _outcome(changed: Slot) -> None:
    """What the last match found, until the block is changed again."""
    place, spec, found = st.session_state.get(_LAST, (0, None, ""))
    if changed.built is None or place != changed.place or changed.built.spec != spec:
        return
    if isinstance(found, Match):
        (st.success if found.is_close else st.warning)(found.sentence(), icon=":material/balance:")
    else:
        st.error(markdown_safe(found), icon=":material/error:")


def remove(place: int) -> None:
    """Take a column away; the two that are matched keep to their blocks, unless it is one of them."""
    pair = state.get("match"), state.get("match_to")
    lineup.remove(place)
    if place in pair:
        left = SETTINGS[1].default, SETTINGS[2].default
        state.put("match_knob", "")
    else:
        left = tuple(old - (old > place) for old in pair)
    for name, value in zip(("match", "match_to"), left, strict=True):
        state.put(name, value)
