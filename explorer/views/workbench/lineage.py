"""Lineage: from one published network to a later one by single edits, with what each changes."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.structure import Analysis
from explorer.figures import units
from explorer.networks import catalog
from explorer.networks.lineage import LINEAGES, Lineage, LineageStep
from explorer.ui import state
from explorer.ui.awaited import awaited
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session, analysis_of
from explorer.ui.settings import Setting

SETTINGS = (Setting("lineage", "convnext", choices=tuple(LINEAGES)),)


def render(session: Session) -> None:
    """The choice of a lineage, the way back and forth, and its steps with their figures."""
    state.control(
        st.selectbox, "lineage", "From one network to a later one", options=list(LINEAGES),
        format_func=lambda name: LINEAGES[name].title,
    )  # fmt: skip
    lineage = LINEAGES[state.get("lineage")]
    found = awaited("lineage", (*session.key, lineage.name), "Analysing the steps", lambda job: _analyses(lineage, job))
    if found is None:
        return
    place = lineage.place(session.spec)
    _ways(lineage, place)
    for number, step in enumerate(lineage.steps):
        _step(number, step, found, is_here=number == place)


def _analyses(lineage: Lineage, job: Job) -> list[Analysis]:
    """The analysis of every step, in order."""
    found: list[Analysis] = []
    for step in lineage.steps:
        job.progress(len(found), len(lineage.steps))
        found.append(analysis_of(catalog.of_spec(step.preset, step.spec)))
    return found


def _ways(lineage: Lineage, place: int | None) -> None:
    """Buttons to the step before and after; where the network is on none, to the first."""
    back = None if place is None else place - 1
    on = 0 if place is None else place + 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _button("Back", ":material/arrow_back:", lineage, back, "lineage back")
        _button("Begin" if place is None else "Next step", ":material/arrow_forward:", lineage, on, "lineage on")
        here = "not on this way" if place is None else f"step {place} of {len(lineage.steps) - 1}"
        st.markdown(f":small[{here}]", width="content")


def _button(label: str, icon: str, lineage: Lineage, to: int | None, key: str) -> None:
    steps = lineage.steps
    there = steps[to] if to is not None and 0 <= to < len(steps) else None
    st.button(
        label, icon=icon, key=key, disabled=there is None, on_click=take, args=(there or steps[0],),
        help=markdown_safe(there.title) if there else None,
    )  # fmt: skip


def _step(number: int, step: LineageStep, found: list[Analysis], is_here: bool) -> None:
    """One step: what it changes, why, where that was published, and what it comes to."""
    with st.container(border=True, gap="xsmall", key=f"lineage step {number}{' here' if is_here else ''}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            here = " :blue-badge[:material/location_on: here]" if is_here else ""
            st.markdown(f"**{number} · {markdown_safe(step.title)}**{here}", width="stretch")
            if not is_here:
                st.button("Take this step", key=f"take {number}", type="tertiary", on_click=take, args=(step,))
        st.markdown(f"{markdown_safe(step.why)} :small[:gray[{markdown_safe(step.source)}]]")
        st.markdown(figures_text(found[number], found[number - 1] if number else None))


def figures_text(now: Analysis, before: Analysis | None) -> str:
    """Parameters, multiply-accumulates and field of a step, each with its change from the step before."""
    parts = [
        _figure("parameters", units.count(now.params), now.params, before and before.params),
        _figure("MACs", units.count(now.macs), now.macs, before and before.macs),
        _figure("field", f"{units.pair(_field(now))} px", _field(now)[0], before and _field(before)[0]),
    ]
    return " · ".join(parts)


def _field(analysis: Analysis) -> tuple[int, int]:
    """What a unit of the last map sees but for gates, which see all."""
    return analysis.local_receptive_field.size


def _figure(name: str, shown: str, value: int, before: int | None) -> str:
    change = None if before is None else units.difference(value, before)
    return f":small[{shown} {name}{f' **{change}**' if change else ''}]"


def take(step: LineageStep) -> None:
    """Open the network of a step."""
    state.open_network(step.preset, step.plain_knobs)
