"""Compare: two to four networks, pinned or edited, side by side: figures, graphs, layers, fields, costs, pictures."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

import models
from explorer.figures import comparison, units
from explorer.figures.comparison import Figure
from explorer.ui import chart, pins, state
from explorer.ui.guard import guard
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.compare import entries, graphs, measured, occlusion, pairs, pictures, table
from explorer.views.compare.entries import Candidate

BADGES = ("blue", "orange", "green", "violet")  # nearest to the colours of the figures


def render(session: Session) -> None:
    """Draw the whole page: what is compared, with its figures, and below one of the parts."""
    if session.spec_error:
        st.warning("The edited network is the last one that could be built.", icon=":material/history:")
    found = entries.current(session)
    _heads(found, session)
    there = [entry for entry in found if entry.session]
    if len(found) < 2:
        st.info("Pin this network and go on editing it, choose a preset to set beside it, or begin with a pair.",
                icon=":material/keep:")  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(there) > 1:
            state.control(
                st.segmented_control, "part", "What is compared", options=list(SECTIONS), required=True,
                label_visibility="collapsed", format_func=lambda name: SECTIONS[name][0],
            )  # fmt: skip
        _more(found, session)
    if len(found) < 2:
        pairs.offer()
    if len(there) < 2:
        return
    with guard():
        SECTIONS[state.get("part")][1](there, session)


# -- what is compared -------------------------------------------------------------------------------------------------


def _heads(found: list[Candidate], session: Session) -> None:
    """Name and menu of each, and below them the figures of all in one table."""
    reference = next((entry for entry in found if entry.session), None)
    for entry, column in zip(found, st.columns(max(2, len(found)), gap="medium"), strict=False):
        with column, guard():
            _head(entry, entry is reference, session)
    if reference:
        _figures([entry for entry in found if entry.session], reference)


def _head(entry: Candidate, is_reference: bool, session: Session) -> None:
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
        st.markdown(
            f"{_badge(entry)} **{markdown_safe(entry.variant.name)}**{' :small[reference]' if is_reference else ''} "
            f":small[:gray[{markdown_safe(entry.says())}]]",
            width="stretch",
        )
        if entry.place is not None:
            _menu(entry, entry.place)
        elif entry.is_edited:
            pins.button(session)
    if entry.error:
        st.error(markdown_safe(entry.error), icon=":material/error:")
    elif entry.known.weights_error and entry.place is not None:
        st.warning(markdown_safe(entry.known.weights_error), icon=":material/file_open:")


def _menu(entry: Candidate, place: int) -> None:
    """What can be done with a pinned network."""
    with st.popover("", icon=":material/more_vert:", type="tertiary", key=f"menu {entry.letter}"):
        state.keep(st.text_input, f"name {entry.letter}", "Name", entry.variant.name,
                   lambda name: pins.rename(place, name), max_chars=pins.LONGEST_PIN_NAME)  # fmt: skip
        for label, icon, action, off in (
            ("Edit this one", ":material/edit:", pins.take_up, entry.is_edited),
            ("Make it the reference", ":material/first_page:", pins.to_front, place == 0),
            ("Remove", ":material/delete:", pins.remove, False),
        ):
            st.button(label, key=f"{label} {entry.letter}", icon=icon, on_click=action, args=(place,), disabled=off,
                      type="tertiary")  # fmt: skip


def _figures(found: list[Candidate], reference: Candidate) -> None:
    """A row per network, with what differs from the reference in small."""
    columns: dict[str, list[str]] = {"": [_badge(entry) for entry in found]}
    for entry in found:
        for figure in comparison.figures(entry.analysis, reference.analysis):
            columns.setdefault(figure.name, []).append(_cell(figure))
    rows = [{"Network": entry.label, **comparison.figures_row(entry.analysis)} for entry in found]
    chart.table(columns, "compared networks", rows)


def _cell(figure: Figure) -> str:
    difference = f" :small[:gray[{figure.difference}]]" if figure.difference else ""
    return f"{figure.text}{difference}".replace(" ", units.NO_BREAK)


def _badge(entry: Candidate) -> str:
    return f":{BADGES[entries.LETTERS.index(entry.letter)]}-badge[{entry.letter}]"


def _more(found: list[Candidate], session: Session) -> None:
    """A preset to set beside what is there, while there is a place."""
    if len(pins.pinned()) < pins.MOST_PINS and len(found) < len(entries.LETTERS):
        offered = ["", *(name for name in models.presets() if name != session.preset or state.knobs())]
        state.keep(
            st.selectbox, "compare preset", "Compare with a preset", "", _add, options=offered, width=280,
            format_func=lambda name: name or "Add a preset …", label_visibility="collapsed",
        )  # fmt: skip


def _add(preset: str) -> None:
    if preset:
        pins.add_preset(preset)


# -- parts ------------------------------------------------------------------------------------------------------------


def _growth(found: list[Candidate], session: Session) -> None:
    del session
    networks = {entry.label: entry.analysis for entry in found}
    gated = any(one.receptive_field.axes != one.local_receptive_field.axes for one in networks.values())
    figure = comparison.growth_over(networks, "local" if gated else "strict")
    chart.chart(figure, "compared fields")
    if gated:
        st.caption("Fields without gates, which read the whole map at once.")


def _costs(found: list[Candidate], session: Session) -> None:
    del session
    chart.chart(comparison.costs_over({entry.label: entry.analysis for entry in found}), "compared costs")
    st.caption("A stage is all layers whose maps have the same size; tokens are a sequence, the head has no positions.")


SECTIONS: dict[str, tuple[str, Callable[[list[Candidate], Session], None]]] = {
    "graphs": ("Graphs", graphs.render),
    "table": ("Layers", table.render),
    "growth": ("Field", _growth),
    "costs": ("Cost", _costs),
    "measured": ("Latency", measured.render),
    "pictures": ("Picture", pictures.render),
    "occlusion": ("Occlusion", occlusion.render),
}

VIEW = View(
    "compare", "Compare", ":material/compare:", 7, render,
    settings=(
        *pins.SETTINGS,
        Setting("part", "graphs", choices=tuple(SECTIONS)),
        Setting("looked", ""),
        *table.SETTINGS,
        *measured.SETTINGS,
    ),
)  # fmt: skip
