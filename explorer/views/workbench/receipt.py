"""The counting receipt of the network at hand: four totals, and the layers behind each difference."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.receipt import CONVENTIONS, Line, Receipt, Tally, receipt
from explorer.analysis.structure import Analysis
from explorer.figures import units
from explorer.figures.caveats import uncounted_macs
from explorer.ui import state
from explorer.ui.awaited import awaited
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting

TITLES = {convention[0]: convention[1] for convention in CONVENTIONS}
OTHERS = tuple(name for name in TITLES if name != "paper")
SETTINGS = (Setting("convention", OTHERS[0], choices=OTHERS),)


def render(session: Session) -> None:
    """The totals; below them, for the chosen convention, each difference from ours with its reason and layers."""
    key, analysis = session.network.key, session.analysis
    found = awaited(
        "receipt", session.key, f"Counting {session.preset} by torchinfo", lambda _: _receipt(key, analysis)
    )
    if found is None:
        return
    _totals(found)
    state.control(
        st.segmented_control, "convention", "Why other tools say something else", options=list(OTHERS),
        required=True, format_func=TITLES.__getitem__,
    )  # fmt: skip
    tally = found[state.get("convention")]
    st.caption(_sum(found["paper"], tally))
    for line in tally.lines:
        _line(line)
    if tally.unexplained:
        st.warning(
            f"Not explained: {_signed(tally.unexplained)}. {tally.counted_by} counts what no rule here foresees."
        )
    if tally.failure:
        st.warning(markdown_safe(f"By its rules, as {tally.title} itself fails on this network: {tally.failure}"))
    if missing := uncounted_macs(found.unknown):
        st.warning(markdown_safe(f"{missing}."))


@st.cache_resource(max_entries=8, show_spinner=False)
def _receipt(key: str, _analysis: Analysis) -> Receipt:
    return receipt(_analysis)


def _totals(found: Receipt) -> None:
    rows = [
        {
            "Convention": tally.title,
            "Total": tally.total,
            "Unit": tally.unit,
            "Difference": tally.difference,
            "Counted by": tally.counted_by,
        }
        for tally in found.tallies
    ]
    number = st.column_config.NumberColumn(format="localized")
    st.dataframe(rows, hide_index=True, column_config={"Total": number, "Difference": number})


def _sum(ours: Tally, tally: Tally) -> str:
    if not tally.difference and not tally.lines:
        return f"{tally.title} counts every layer of this network as the papers do."
    return (
        f"{ours.total:,} {ours.unit} {_sign(tally.difference)} {abs(tally.difference):,} = "
        f"**{tally.total:,}** {tally.unit}. Open a line for its layers."
    )


def _line(line: Line) -> None:
    layers = "1 layer" if len(line.layers) == 1 else f"{len(line.layers)} layers"
    with st.expander(f"**{line.kind.replace('_', ' ')}**, {layers}: {_signed(line.difference)}. {line.why}"):
        st.dataframe(
            [{"Layer": name, "Difference": share} for name, share in line.layers], hide_index=True,
            column_config={"Difference": st.column_config.NumberColumn(format="localized")},
        )  # fmt: skip


def _signed(number: int) -> str:
    return f"{_sign(number)} {units.count(abs(number))}"


def _sign(number: int) -> str:
    return "+" if number >= 0 else "−"
