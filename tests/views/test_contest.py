"""The page of the contest: what the shipped table says, drawn; a selected row opens its network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from statistics import NormalDist
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from explorer.figures.contest import Entrant, best, place, scatter
from explorer.views import contest
from models.weights.sources import SHIPPED
from tests.support.page import TRAINED, link
from tests.support.places import APP

ROWS = json.loads((SHIPPED / "metrics.json").read_text(encoding="utf-8"))


def entrant(name: str, accuracy: float, macs: float) -> Entrant:
    return Entrant(name, name.title(), "families", accuracy, {"macs": macs, "params": 100})


FIELD = [entrant("a", 0.9, 5), entrant("b", 0.95, 5), entrant("c", 0.94, 8), entrant("d", 1.0, 9)]


def open_contest(**link: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params.update({"preset": TRAINED, "view": "contest", **link})
    app.run()
    assert not app.exception
    assert not app.error
    return app


def test_best_are_those_that_none_beats_at_their_cost_or_below() -> None:
    assert [e.preset for e in best(FIELD, "macs")] == ["b", "d"]


def test_upwards_errors_halve_and_a_network_without_an_error_has_a_place() -> None:
    figure = scatter(FIELD, "macs").to_plotly_json()
    assert list(figure["data"][1]["y"]) == pytest.approx([0.1, 0.05, 0.06, 1 / 4000])
    axis = figure["layout"]["yaxis"]
    assert (axis["type"], axis["autorange"]) == ("log", "reversed")


def test_the_chosen_network_is_named_where_its_point_is() -> None:
    (note,) = scatter(FIELD, "macs", chosen="c").to_plotly_json()["layout"]["annotations"]
    assert (note["text"], 10 ** note["x"], 10 ** note["y"]) == ("C", pytest.approx(8), pytest.approx(0.06))


def test_the_table_is_the_shipped_one_best_first() -> None:
    (table,) = open_contest().dataframe
    shown = dict(zip(table.value["Preset"], table.value["Accuracy"], strict=True))
    assert shown == {name: row["accuracy"] for name, row in ROWS.items()}
    assert list(shown.values()) == sorted(shown.values(), reverse=True)


@pytest.mark.parametrize("name", ["MACs", "Parameters"])
def test_costs_are_numbers_which_sort_as_such(name: str) -> None:
    (table,) = open_contest().dataframe
    field = {"MACs": "macs", "Parameters": "params"}[name]
    assert table.value[name].dtype.kind == "i"
    assert dict(zip(table.value["Preset"], table.value[name], strict=True)) == {n: r[field] for n, r in ROWS.items()}


@pytest.mark.parametrize("right", [2000, 1999, 1995, 1000, 1, 0])
def test_the_interval_is_wilsons(right: int) -> None:
    """An end is a true accuracy at which the one that was found lies just 1.96 of its standard deviations away."""
    low, high = entrant("a", right / 2000, 1).interval
    for end in (low, high):
        deviation = NormalDist().inv_cdf(0.975) * math.sqrt(end * (1 - end) / 2000)
        assert abs(right / 2000 - end) == pytest.approx(deviation, abs=1e-8)
    assert low - 1e-12 <= right / 2000 <= high + 1e-12
    assert low < high


def test_what_may_be_chance_is_a_tie() -> None:
    near, best_one, far = entrant("a", 0.9975, 1), entrant("b", 0.9995, 1), entrant("c", 0.9, 1)
    assert [place(e, [near, best_one, far]) for e in (near, best_one, far)] == [1, 1, 3]
    (table,) = open_contest().dataframe
    shown = table.value
    assert list(shown["Place"][:2]) == [1, 1]
    assert shown["Place"].is_monotonic_increasing
    assert all(
        low <= found <= high for low, found, high in zip(shown["from"], shown["Accuracy"], shown["to"], strict=True)
    )


def test_a_click_on_a_point_opens_its_network_and_one_on_the_ring_none(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(contest, "_open", opened.append)
    figure = scatter(FIELD, "macs", chosen="c").to_plotly_json()
    for trace in figure["data"]:
        for data in trace.get("customdata", [None]):
            points = [{} if data is None else {"customdata": list(data)}]
            monkeypatch.setattr(
                contest.st, "session_state", {"contest": SimpleNamespace(selection=SimpleNamespace(points=points))}
            )
            contest._click()
    assert opened == list("abcd")


def opening() -> None:
    from explorer.ui import session, state
    from explorer.views import contest

    session.begin(session.SETTINGS, ())
    contest._open("zfnet_mini")
    state.end()


def test_the_trained_network_is_opened_from_a_changed_one_of_its_preset() -> None:
    app = AppTest.from_function(opening, default_timeout=60)
    app.query_params.update({"preset": TRAINED, "k.activation": "silu", "weights": "random"})
    app.run()
    assert not app.exception
    assert link(app) == {"preset": TRAINED}


@pytest.mark.parametrize("group", ["families", "blocks"])
def test_a_group_shows_its_networks_alone(group: str) -> None:
    names = {name for name in ROWS if name.startswith("anynet_mini_") == (group == "blocks")}
    tables = open_contest(group=group).dataframe
    assert set(tables[0].value["Preset"] if tables else ()) == names


@pytest.fixture
def measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Two rows of the shipped table with their latencies; where the test asks for False, the second has none."""
    first, second = ({k: v for k, v in row.items() if k != "latency_ms"} for row in list(ROWS.values())[:2])
    times = {"latency_ms": {"1": 1.5, "32": 20.0}, "latency_on": "a processor"}
    rows = dict(zip(ROWS, [first | times, second | (times if request.param else {})], strict=False))
    monkeypatch.setattr(contest, "shipped_rows", lambda: rows)
    contest._entrants.cache_clear()
    yield request.param
    contest._entrants.cache_clear()


@pytest.mark.parametrize("measured", [True, False], indirect=True)
def test_a_cost_of_which_a_network_has_no_figure_is_not_offered(measured: bool) -> None:
    (costs,) = [box for box in open_contest(cost="latency_32").selectbox if box.label == "Cost"]
    assert ("Latency of 32 pictures (ms)" in costs.options) is measured


def test_a_changed_network_is_told_from_the_one_that_was_trained() -> None:
    def told(app: AppTest) -> bool:
        return "Marked is zfnet_mini as it was trained: of your changed network no accuracy is known." in [
            caption.value for caption in app.main.caption
        ]

    assert told(open_contest(**{"k.activation": "silu"}))
    assert not told(open_contest())
