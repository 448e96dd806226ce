"""Blocks: two to four building blocks side by side on one input, with what each costs, sees and takes."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

import models
from explorer.figures import units
from explorer.figures.blocks import Bar, bar_rows, relative, timed_bar
from explorer.figures.graph_payload import graph_payload
from explorer.receptive_field.report import ReceptiveField
from explorer.ui import block_files, chart, state, widgets
from explorer.ui.components.graph import layer_graph
from explorer.ui.guard import guard
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.view import View
from explorer.views.blocks import latency, lineup, match
from explorer.views.blocks.latency import BATCHES
from explorer.views.blocks.lineup import Slot

GRAPH_HEIGHT = "28rem"


def render(session: Session) -> None:
    """Draw the whole page: the input, the figures in columns, the chart beside its tools, and the graphs."""
    _input()
    slots = lineup.current()
    first = next((slot for slot in slots if slot.built), None)
    for slot, column in zip(slots, st.columns(len(slots), gap="medium"), strict=True):
        with column:
            _head(slot, len(slots))
            with guard():
                _body(slot, first, session)
    left, right = st.columns([3, 2], gap="large")
    with left, guard():
        _chart(slots, session)
    with right:
        with guard():
            match.render(slots)
        st.divider()
        with guard():
            latency.render(slots, session)
    for place, column in enumerate(st.columns(len(slots), gap="medium")):
        with column, guard():
            _graph(slots[place], place)


# -- what is chosen ---------------------------------------------------------------------------------------------------


def _input() -> None:
    with st.container(border=True), st.grid(min_column_width=120, gap="small", vertical_alignment="bottom"):
        _number("input_channels", "Input channels", 2048)
        _number("input_height", "Height (px)", 512)
        _number("input_width", "Width (px)", 512)
        st.button("Add block", icon=":material/add:", on_click=lineup.add, width="stretch",
                  disabled=len(lineup.places()) == len(lineup.PLACES))  # fmt: skip


def _number(name: str, label: str, high: int) -> None:
    state.control(st.number_input, name, label, min_value=1, max_value=high, step=1)


def _head(slot: Slot, count: int) -> None:
    """The block's name, which chooses another, and the way to take it away."""
    titles = {block.name: block.title for block in models.blocks()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        state.keep(
            st.selectbox, f"block{slot.place}", f"Block {slot.place}", slot.block.name,
            lambda name: lineup.choose(slot.place, name), options=list(titles), format_func=titles.__getitem__,
        )  # fmt: skip
        if count > lineup.FEWEST:
            st.button("", key=f"remove block {slot.place}", icon=":material/close:", type="tertiary",
                      help=f"Take {slot.label} away.", on_click=match.remove, args=(slot.place,))  # fmt: skip


def _body(slot: Slot, first: Slot | None, session: Session) -> None:
    if slot.error:
        st.error(markdown_safe(slot.error), icon=":material/error:")
    elif first:
        rows = bar_rows({slot.label: _bars(slot, session)}, COLUMNS)
        rows += [{"Figure": name, "Value": fact} for name, fact in zip(FACTS, _facts(slot), strict=True)]
        chart.table(_table(slot, first, session), f"block {slot.place}", rows, hide_header=True)
    changed = len(state.knobs(slot.knobs))
    with st.expander(f"Knobs :blue-badge[{changed} changed]" if changed else "Knobs",
                     key=f"knobs {state.owner(slot.knobs)}"):  # fmt: skip
        widgets.plain_knobs(slot.knobs)


# -- figures ----------------------------------------------------------------------------------------------------------


COLUMNS = ("Parameters", "MACs", "Activations", *(f"Latency, batch {batch}" for batch in BATCHES))
FACTS = ("Receptive field", "… without gates", "Output")


def _table(slot: Slot, first: Slot, session: Session) -> dict[str, list[str]]:
    """Rows of name, value, and how many times that of the first block."""
    rows = [
        (name, bar.text if bar else "–", bar.over(base) if bar and base else "")
        for name, bar, base in zip(COLUMNS, _bars(slot, session), _bars(first, session), strict=True)
    ]
    rows[3:3] = [(name, fact.replace(" ", units.NO_BREAK), "") for name, fact in zip(FACTS, _facts(slot), strict=True)]
    return {"Figure": [row[0] for row in rows], "Value": [row[1] for row in rows], "Over": [row[2] for row in rows]}


def _facts(slot: Slot) -> tuple[str, str, str]:
    assert slot.built
    found = slot.built.analysis
    output = found.layers[-1].output_shape
    return _field(found.receptive_field), _field(found.local_receptive_field), units.shape(output)


def _field(field: ReceptiveField) -> str:
    return "whole map" if field.is_global else f"{units.pair(field.size)} px"


def _bars(slot: Slot, session: Session) -> list[Bar | None]:
    assert slot.built
    found = slot.built.analysis
    timed = [latency.of(slot, batch, session) for batch in BATCHES]
    memory = found.activation_bytes
    return [
        Bar(found.params, units.count(found.params), f"{found.params:,}", "parameters"),
        Bar(found.macs, units.count(found.macs), f"{found.macs:,}", "MACs"),
        Bar(memory, units.format_bytes(memory), f"{memory:,}", "bytes"),
        *(one and timed_bar(one) for one in timed),
    ]


def _chart(slots: Sequence[Slot], session: Session) -> None:
    """The figures of each block over those of the first."""
    bars = {slot.label: _bars(slot, session) for slot in slots if slot.built}
    if not bars:
        return
    chart.chart(relative(bars, COLUMNS), "blocks relative")
    st.caption(
        f"× is over {next(iter(bars))}. Each block reads the input's channels and, where it can, hands on as many. "
        "Activations: what all layers put out for one input, in float32."
    )


# -- graphs -----------------------------------------------------------------------------------------------------------


def _graph(slot: Slot, place: int) -> None:
    if slot.built:
        payload = graph_payload(slot.built.analysis, title=slot.label)
        layer_graph(payload, key=f"graph of block {place}", height=GRAPH_HEIGHT)
        block_files.downloads(slot.built.analysis.graph, slot.label, f"block {slot.place}")
    st.markdown(f"**{slot.label}.** {slot.block.summary}")
    widgets.paper(slot.block.paper)


VIEW = View(
    "blocks", "Blocks", ":material/view_column_2:", 6, render,
    settings=(*lineup.SETTINGS, *match.SETTINGS, *latency.SETTINGS),
    knobs=lineup.KNOBS, of_network=False,
)  # fmt: skip
