"""Correspondence: whether hiding the same part of objects changes features alike, layer by layer and part by part."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from explorer.analysis.correspondence import PartChange, over_parts
from explorer.analysis.trunk import trunk
from explorer.figures import correspondence as figures
from explorer.receptive_field.map_layout import arrangements
from explorer.training.correspondence import GROUP, CorrespondenceSettings, part_changes
from explorer.training.dataset import CLASSES, PARTS
from explorer.ui import state
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.zeiler_fergus.asked import is_asked
from explorer.views.zeiler_fergus.panel import Panel

ALL = "All classes"


def render(session: Session) -> None:
    """Draw the controls, the curve over the layers, and the parts in one of them."""
    layers = trunk(session.analysis.graph)
    settings = _controls(session)
    key = (*session.reader_key, settings)

    def work(job: Job) -> list[PartChange]:
        program = session.load(job.should_stop).program
        return part_changes(
            program, session.preprocessing, layers, settings, progress=job.progress, cancel=job.should_stop
        )

    parts = sum(len(PARTS[name]) for name in settings.classes)
    batches = parts * settings.groups  # of three times GROUP pictures, which together take about as long as GROUP alone
    drawn = len(settings.classes) * settings.groups * GROUP  # a picture serves all parts that it shows
    if not is_asked("correspondence", key, batches * GROUP * session.analysis.macs, drawn, settings.size_px):
        return
    found = awaited("correspondence", key, "Hiding parts", work)
    if found is not None:
        _results(found, layers, _place(session, layers), settings)


def _controls(session: Session) -> CorrespondenceSettings:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = state.control(st.selectbox, "parts_of", "Parts of", options=["", *CLASSES], width=200,
                             format_func=lambda name: name or ALL)  # fmt: skip
        groups = state.control(st.number_input, "part_groups", "Groups of pictures", min_value=2, max_value=100, step=1,
                               width=170, help=f"Of {GROUP} each, for each part. More take longer and err less.",
                               )  # fmt: skip
        pooled = state.control(
            st.toggle, "part_pooled", "Whatever their place",
            help="Compare the mean of each map instead of each position, so that it does not matter where the part is.",
        )  # fmt: skip
        seed = state.control(st.number_input, "part_seed", "Seed of the places", min_value=0, step=1, width=170)
    size_px = max(session.input_size[1:])
    return CorrespondenceSettings((name,) if name else CLASSES, groups, size_px, seed, pooled)


def _place(session: Session, layers: Sequence[str]) -> int:
    """Of the chosen layer; at first of the last one with rows and columns, as the paper's layer 5."""
    chosen, known = state.get("part_layer"), arrangements(session.analysis.graph)
    spatial = [place for place, layer in enumerate(layers) if known[layer].map_size != (1, 1)]
    return chosen if 0 <= chosen < len(layers) else (spatial or [0])[-1]


def _results(found: Sequence[PartChange], layers: Sequence[str], place: int, settings: CorrespondenceSettings) -> None:
    means = over_parts(found)
    chart(figures.depth_chart(means), "correspondence")
    st.markdown(markdown_safe(figures.in_sentence(means[place])))
    st.caption(
        f"Δ of the paper's equation 5: over pairs of {GROUP} pictures, the share of features whose change has another "
        f"sign; {settings.groups} groups for each part, the error is that of the mean. A random place is a square of "
        "the part's size somewhere on the object."
    )
    state.keep(st.selectbox, "part layer", "Part by part in", place, lambda number: state.put("part_layer", number),
               options=range(len(layers)), format_func=lambda number: layers[number], width=280)  # fmt: skip
    chart(figures.parts_chart([each for each in found if each.layer == layers[place]]), "parts")


PANEL = Panel(
    "correspondence", "Correspondence", "table 1", 80,
    "Hiding the same part of different dogs changes the features of layer 5 more alike than hiding random places does.",
    render,
    (
        Setting("parts_of", "", choices=("", *CLASSES)),
        Setting("part_groups", 4, low=2, high=100),
        Setting("part_pooled", False),
        Setting("part_seed", 0, low=0, high=2**31 - 1),
        Setting("part_layer", -1, low=-1, high=100, of_network=True),
    ),
)  # fmt: skip
