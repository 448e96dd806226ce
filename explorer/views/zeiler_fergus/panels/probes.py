"""Layer-wise transfer: how well a linear classifier tells the classes from each layer's features."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
import torch

from explorer.analysis.probes import LayerProbe, linear_probes
from explorer.analysis.trunk import trunk
from explorer.errors import UserError
from explorer.figures import probes as figures
from explorer.graph.trace import TracedProgram, trace
from explorer.ui import state, unseen
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.zeiler_fergus.asked import is_asked
from explorer.views.zeiler_fergus.panel import Panel

MOST_FITTED = 1_000  # of the 2,000 unseen pictures; as many again are judged


def render(session: Session) -> None:
    """Draw the controls and the curve."""
    layers = trunk(session.analysis.graph)
    if not layers:
        raise UserError("No layer of this network stands between all of the picture and all of the answer.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.control(st.number_input, "probed", "Pictures to learn from", min_value=60, max_value=MOST_FITTED, step=60,
                      help="As many others are judged. No network was trained on any of them.", width=210)  # fmt: skip
        if session.source.kind != "random":
            state.control(st.toggle, "beside_untrained", "Beside untrained")
    count, beside = state.get("probed"), state.get("beside_untrained") and session.source.kind != "random"
    key = (*session.reader_key, count, beside)
    macs = 2 * count * session.analysis.macs * (1 + beside)
    if not is_asked("probes", key, macs, 2 * count, max(session.input_size[1:])):
        return
    found = awaited(
        "probes", key, "Drawing and running the pictures", lambda job: _probed(session, layers, count, beside, job)
    )
    if found is None:
        return
    names = (markdown_safe(session.preset), "untrained")
    chart(figures.probe_chart(dict(zip(names, found, strict=False))), "probes")
    st.caption(
        f"The share of {count:,} unseen pictures that ridge regression on each layer's maps, averaged over their "
        f"positions, gets right after {count:,} others, with one standard error. By chance it would be 1 in 12."
    )


def _probed(session: Session, layers: Sequence[str], count: int, beside: bool, job: Job) -> list[list[LayerProbe]]:
    parts = 2 + beside
    drawn, labels = unseen.pictures(2 * count, max(session.input_size[1:]), job.part(0, parts))
    inputs, classes = unseen.inputs(session, drawn), torch.from_numpy(labels)
    networks = [session.load(job.should_stop).program, *([_untrained(session)] if beside else [])]
    return [
        linear_probes(program, inputs, classes, count, layers, progress=job.part(number, parts), cancel=job.should_stop)
        for number, program in enumerate(networks, 1)
    ]


def _untrained(session: Session) -> TracedProgram:
    """The network as it is initialised."""
    return trace(session.network.build("cpu").to(session.device), session.input_size)


PANEL = Panel(
    "probes", "Transfer", "table 7", 40,
    "The higher the layer, the better a linear classifier tells classes from its features.",
    render, (
        Setting("probed", 300, low=60, high=MOST_FITTED),
        Setting("beside_untrained", False),
    ),
)  # fmt: skip
