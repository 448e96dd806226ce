"""Contest: the networks that were trained alike, accuracy against cost."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

import models
from explorer.figures import contest as figures
from explorer.figures.contest import COSTS, GROUPS, Entrant
from explorer.training.contest import REASONS
from explorer.ui import state
from explorer.ui.chart import chart
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View
from models.weights.sources import shipped_rows

GROUP_CHOICES = {"all": "All", **GROUPS}
SCATTER = "contest"
SLOTS = "anynet_mini_"  # what the names begin with of the presets that set one block into the same slots


def render(session: Session) -> None:
    """Draw the whole page: the recipe, the scatter and the table."""
    entrants = _entrants()
    shown = [e for e in entrants if state.get("group") in ("all", e.group)]
    st.markdown(_recipe(len(entrants)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.control(st.segmented_control, "group", "Networks", options=list(GROUP_CHOICES), required=True,
                      format_func=GROUP_CHOICES.__getitem__)  # fmt: skip
        state.control(st.selectbox, "cost", "Cost", options=list(_costs(shown)), format_func=COSTS.__getitem__,
                      width=260)  # fmt: skip
    if not shown:
        st.info("None of these networks is trained yet: `python -m explorer contest --out assets/weights` trains them.")
        return
    chosen = session.preset if any(e.preset == session.preset for e in shown) else None
    if chosen and session.is_changed:
        st.caption(f"Marked is {chosen} as it was trained: of your changed network no accuracy is known.")
    cost = state.get("cost") if state.get("cost") in _costs(shown) else "macs"
    chart(figures.scatter(shown, cost, chosen), SCATTER, on_select=_click, selection_mode="points")
    _table(shown, chosen)


@cache
def _entrants() -> tuple[Entrant, ...]:
    """The networks of the shipped table, best first."""
    found = (_entrant(name, row) for name, row in shipped_rows().items() if name in models.presets())
    return tuple(sorted(found, key=lambda e: (-e.accuracy, e.costs["macs"])))


def _entrant(name: str, row: dict[str, Any]) -> Entrant:
    is_slot = name.startswith(SLOTS)
    title = models.block(name.removeprefix(SLOTS)).title if is_slot else models.architecture_of(name).title
    latency = {f"latency_{batch}": value for batch, value in row.get("latency_ms", {}).items()}
    costs = {"macs": row["macs"], "params": row["params"], **latency}
    return Entrant(name, title, "blocks" if is_slot else "families", row["accuracy"], costs)


def _costs(entrants: list[Entrant]) -> list[str]:
    """The costs that every network has a figure of."""
    return [name for name in COSTS if all(name in e.costs for e in entrants)]


def _recipe(count: int) -> str:
    rows = shipped_rows().values()
    epochs, items, seeds = ({row[name] for row in rows} for name in ("epochs", "train_items", "seed"))
    alike = " and ".join(
        f"{'/'.join(f'{value:,}' for value in sorted(values))} {what}"
        for values, what in ((epochs, "epochs"), (items, "pictures"))
    )
    machines = sorted({row["latency_on"] for row in rows if "latency_on" in row})
    measured = f" Latency was measured on {'; '.join(machines)}." if machines else ""
    return (
        f"{count} networks, one recipe: {alike} that the program draws itself, seed {min(seeds)}. Accuracy is on "
        f"{figures.PICTURES:,} unseen pictures of 12 classes.{measured} Families are whole networks, each to its own "
        "plan; in the others only the block in two slots of one plan differs."
    )


def _table(entrants: list[Entrant], chosen: str | None) -> None:
    place = [i for i, e in enumerate(entrants) if e.preset == chosen]
    key = f"contest {state.get('group')}"
    st.dataframe(
        [_row(e, entrants) for e in entrants], key=key, hide_index=True, height=min(720, 36 * (len(entrants) + 1)),
        selection_mode="single-row", selection_default={"selection": {"rows": place}}, column_config=_COLUMNS,
        on_select=lambda: _select(key, entrants),
    )  # fmt: skip
    st.caption(
        "Select a row, or a point above, to open its network, trained weights included, in all views. Between *from* "
        f"and *to* the true accuracy lies with 95 % (Wilson, {figures.PICTURES:,} pictures). Place counts who is "
        "surely better: networks of one place are tied."
    )


def _click() -> None:
    """Open the network of the point that was clicked; the line and the ring have none."""
    points = st.session_state[SCATTER].selection.points
    if points and (data := points[0].get("customdata")):
        _open(data[-1])


def _select(key: str, entrants: list[Entrant]) -> None:
    if rows := st.session_state[key].selection.rows:
        _open(entrants[rows[0]].preset)


def _open(preset: str) -> None:
    """Go to the network that was trained, also from one that was changed."""
    state.put("preset", preset)
    state.put("weights", "")
    state.clear_knobs()


def _row(entrant: Entrant, entrants: list[Entrant]) -> dict[str, Any]:
    latencies = {f"Batch {n} (ms)": entrant.costs[f"latency_{n}"] for n in (1, 32) if f"latency_{n}" in entrant.costs}
    return {
        "Network": entrant.title,
        "Place": figures.place(entrant, entrants),
        "Accuracy": entrant.accuracy,
        "from": entrant.interval[0],
        "to": entrant.interval[1],
        "Parameters": int(entrant.costs["params"]),
        "MACs": int(entrant.costs["macs"]),
        **latencies,
        "Preset": entrant.preset,
        "Note": REASONS.get(entrant.preset, ""),
    }


_COLUMNS = {
    "Network": st.column_config.TextColumn(pinned=True, width=170),
    "Place": st.column_config.NumberColumn(help="1 + how many are surely better; equal places are ties.", width=60),
    **{
        name: st.column_config.NumberColumn(format="percent", help=f"Right of {figures.PICTURES:,} unseen pictures.")
        for name in ("Accuracy", "from", "to")
    },
    "Parameters": st.column_config.NumberColumn(format="localized"),
    "MACs": st.column_config.NumberColumn(format="localized"),
    **{f"Batch {n} (ms)": st.column_config.NumberColumn(format="%.2f") for n in (1, 32)},
}

VIEW = View(
    "contest", "Contest", ":material/leaderboard:", 9, render,
    settings=(
        Setting("group", "all", choices=tuple(GROUP_CHOICES)),
        Setting("cost", "macs", choices=tuple(COSTS)),
    ),
)  # fmt: skip
