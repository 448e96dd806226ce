"""How long a forward pass of each compared network takes on the device, and how much memory: computed and measured."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.latency import Latency
from explorer.figures import units
from explorer.figures.blocks import Bar, bar_rows, relative, timed_bar
from explorer.ui import chart, state, timing
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.timing import Task
from explorer.views.compare.entries import Candidate

COMPARED_FIGURES = ("MACs", "Peak memory, computed", "Peak memory, measured", "Latency")
SETTINGS = (Setting("timed", False),)


def render(found: list[Candidate], session: Session) -> None:
    """Draw the figures of each network over the reference's, and the button that measures."""
    tasks = [
        Task(
            entry.known.network,
            entry.variant.name,
            entry.analysis,
            entry.known.input_size,
            1,
            session.device,
            with_memory=True,
        )
        for entry in found
    ]
    bars = {entry.label: _bars(entry, task) for entry, task in zip(found, tasks, strict=True)}
    first = bars[found[0].label]
    columns = {name: [_cell(row[i], first[i]) for row in bars.values()] for i, name in enumerate(COMPARED_FIGURES)}
    chart.table({"": [*map(markdown_safe, bars)], **columns}, "measured networks", bar_rows(bars, COMPARED_FIGURES))
    chart.chart(relative(bars, COMPARED_FIGURES), "compared latency")
    timing.render(tasks, session, "timed")
    st.caption(
        f"× is over {found[0].letter}. One input a pass. Peak memory is the most that a pass in float32 holds at once "
        "beside the weights. Computed: each output is let go after its last use. Measured: what torch's allocator "
        "handed out, with room to work in and what the network's code holds on to."
    )


def _bars(entry: Candidate, task: Task) -> list[Bar | None]:
    figures = entry.analysis
    is_asked = state.get("timed")
    taken: Latency | None = timing.of(task) if is_asked else None
    peak = timing.peak_of(task) if is_asked else None
    return [
        Bar(figures.macs, units.count(figures.macs), f"{figures.macs:,}", "MACs"),
        Bar(figures.peak_bytes, units.format_bytes(figures.peak_bytes), f"{figures.peak_bytes:,}", "bytes"),
        Bar(peak, units.format_bytes(peak), f"{peak:,}", "bytes") if peak is not None else None,
        taken and timed_bar(taken),
    ]


def _cell(bar: Bar | None, base: Bar | None) -> str:
    if bar is None:
        return "–"
    over = f" :small[:gray[{bar.over(base)}]]" if base and bar is not base and bar.over(base) else ""
    return f"{bar.text}{over}".replace(" ", units.NO_BREAK)
