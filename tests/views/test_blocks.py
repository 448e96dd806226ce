"""Blocks on the page: what a link carries and refuses, columns that come and go, matched budgets, measured latency."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.latency import Latency
from explorer.errors import Cancelled
from explorer.figures.blocks import Bar, relative
from explorer.figures.units import milliseconds
from explorer.ui import timing
from tests.support.page import TRAINED
from tests.support.places import APP

SMALL = {"input_height": "8", "input_width": "8"}


def open_blocks(**link: str) -> AppTest:
    """The page that a link opens; knobs of block 1 are written k1__width."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in {"preset": TRAINED, "view": "blocks", **SMALL, **link}.items():
        app.query_params[name.replace("__", ".")] = text
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception
    return app


def click(app: AppTest, label: str) -> AppTest:
    return checked(next(button for button in app.button if button.label == label).click().run())


def link(app: AppTest) -> dict[str, str]:
    found = {name: text[0] if isinstance(text, list) else text for name, text in app.query_params.items()}
    return {name: text for name, text in found.items() if name not in ("preset", "view", *SMALL)}


def tables(app: AppTest) -> list[dict[str, str]]:
    return [dict(zip(table.value["Figure"], table.value["Value"], strict=True)) for table in app.table]


def texts(elements: Any) -> list[str]:
    return [element.value for element in elements]


# -- columns ----------------------------------------------------------------------------------------------------------


def test_opens_with_two_blocks_on_one_input_and_an_empty_link() -> None:
    app = open_blocks()
    assert link(app) == {}
    assert not app.error
    assert not app.warning
    assert app.title[0].value == "Blocks"
    first, second = tables(app)
    assert first["Output"] == second["Output"] == "64\u00a0×\u00a08\u00a0×\u00a08"
    assert first["Parameters"] == f"{64 * 16 + 9 * 16 * 16 + 16 * 64 + 2 * (16 + 16 + 64):,}"
    assert first["MACs"] == f"{(64 * 16 + 9 * 16 * 16 + 16 * 64) * 64 / 1000:.1f} k"
    assert not any(box.label in ("Preset", "Weights", "Sample") for box in app.selectbox)


def test_a_gate_makes_the_field_the_whole_map_and_leaves_the_local_one() -> None:
    found = tables(open_blocks(block2="mbconv"))[1]
    assert (found["Receptive field"], found["… without gates"]) == ("whole\u00a0map", "3\u00a0px")


def test_columns_are_added_and_taken_away_with_their_knobs() -> None:
    app = open_blocks(k2__expansion="2.0")
    app = click(click(app, "Add block"), "Add block")
    assert len(tables(app)) == 4
    assert next(b for b in app.button if b.label == "Add block").disabled
    assert link(app) == {"block3": "mbconv", "block4": "convnext", "k2.expansion": "2.0"}
    app = checked(app.button(key="remove block 1").click().run())
    assert link(app) == {"block1": "inverted_residual", "block2": "mbconv", "block3": "convnext", "k1.expansion": "2.0"}
    app = checked(app.button(key="remove block 3").click().run())
    assert "remove block 1" not in [button.key for button in app.button]


@pytest.mark.parametrize(
    ("matched", "removed", "left"),
    [
        ({"match": "3", "match_to": "2"}, 1, {"match": "2", "match_to": "1"}),
        ({"match": "3", "match_to": "1"}, 2, {"match": "2", "match_to": "1"}),
        ({"match": "1", "match_to": "3"}, 1, {"match": "2", "match_to": "1"}),
        ({"match": "1", "match_to": "3"}, 2, {"match": "1", "match_to": "2"}),
        ({"match": "3", "match_to": "2"}, 3, {"match": "2", "match_to": "1"}),
    ],
)
def test_a_match_follows_its_blocks_when_one_is_taken_away(
    matched: dict[str, str], removed: int, left: dict[str, str]
) -> None:
    app = open_blocks(block3="mbconv", **matched)
    checked(app.button(key=f"remove block {removed}").click().run())
    assert {name: str(app.session_state["state"][name]) for name in left} == left
    assert not app.warning


def test_another_block_comes_with_its_own_defaults() -> None:
    app = open_blocks(k2__expansion="2.0")
    app.selectbox(key="widget:block2").set_value("fire").run()
    assert link(checked(app)) == {"block2": "fire"}


def test_a_knob_changes_one_column_and_is_in_the_link() -> None:
    app = open_blocks(block2="residual_bottleneck")
    before = tables(app)
    app.number_input(key="widget:knob 2 residual_bottleneck width").set_value(8).run()
    after = tables(checked(app))
    assert link(app) == {"block2": "residual_bottleneck", "k2.width": "8"}
    assert after[0] == before[0]
    assert after[1]["Output"].startswith("32")
    assert any("default: 16" in text for text in texts(app.markdown))
    app.button(key="reset block 2 width").click().run()
    assert tables(checked(app)) == before


def test_the_input_is_that_of_all_blocks() -> None:
    app = open_blocks()
    app.number_input(key="widget:input_channels").set_value(32).run()
    assert link(checked(app)) == {"input_channels": "32"}
    assert {table["Output"].split("\u00a0")[0] for table in tables(app)} == {"32"}


def test_a_block_that_cannot_be_built_says_which_knob_and_why_and_the_others_stay() -> None:
    app = open_blocks(block1="shuffle_unit_v2", input_channels="7", block3="inception_b")
    assert texts(app.error) == ["in_channels=7, width=116, stride=1: a unit of stride 1 hands on half of its input"]
    assert len(tables(app)) == 2
    assert not app.warning
    app = open_blocks(block2="inception_b", input_height="1", input_width="1")
    assert len(tables(app)) == 1
    assert "1x1" in app.error[0].value


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"block1": "fyre"}, "In the link: block1='fyre' is not one of"),
        ({"block2": ""}, "In the link: block2='' is not one of"),
        ({"input_width": "0"}, "In the link: input_width='0' is not between 1 and 512; 56 is used."),
        (
            {"k2.expansion": "99"},
            "In the link: block 2: expansion=99.0 is above its highest value 10; it takes 0.25 to 10",
        ),
        ({"k1.widht": "9"}, "In the link: block 1: widht is not a knob of this architecture; did you mean width?"),
        ({"k1.in_channels": "9"}, "In the link: block 1: in_channels cannot be set here."),
        ({"k4.width": "9"}, "In the link: block 4: width is a knob of no block, as none is chosen there."),
        ({"match": "3"}, "match=3 is no block that can stand there; block 2 is used."),
        ({"match_to": "2"}, "match_to=2 is no block that can stand there; block 1 is used."),
        ({"match_knob": "<b>"}, r"match_knob='\<b\>' does not change the MACs of Inverted residual alone; the first"),
        ({"figure": "speed"}, "In the link: figure='speed' is not one of macs, params; macs is used."),
    ],
)
def test_a_wrong_link_is_one_sentence_and_the_page_goes_on(given: Mapping[str, str], sentence: str) -> None:
    app = open_blocks(**given)
    (warning,) = texts(app.warning)
    assert warning.startswith(sentence)
    assert len(tables(app)) == 2


# -- matched budgets --------------------------------------------------------------------------------------------------


def test_match_budget_solves_the_knob_says_what_came_of_it_and_puts_it_into_the_link() -> None:
    app = click(open_blocks(), "Match budget")
    assert link(app).keys() == {"k2.expansion"}
    (told,) = texts(app.success)
    assert told.startswith(f"expansion={link(app)['k2.expansion']} gives ")
    assert "MACs" in told
    again = open_blocks(**link(app))
    assert tables(again) == tables(app)
    assert not again.success


def test_figure_block_and_knob_can_be_chosen() -> None:
    app = open_blocks(figure="params", match="1", match_to="2", match_knob="width_factor", k2__expansion="2.0")
    app = click(app, "Match budget")
    assert "k1.width_factor" in link(app)
    assert texts(app.success)[0].startswith("width_factor=")


def test_a_budget_out_of_reach_is_a_warning_with_the_figure_until_the_block_changes() -> None:
    app = click(open_blocks(block2="vgg"), "Match budget")
    (told,) = texts(app.warning)
    assert told.startswith("No value of width comes within 1 %; the nearest is taken: width=")
    app.selectbox(key="widget:block2").set_value("fire").run()
    assert not checked(app).warning


# -- measured latency -------------------------------------------------------------------------------------------------


def quick(found: dict[str, int]) -> Any:
    """In place of the measurement: the batch in milliseconds, and a count of the calls."""

    def measure(module: Any, size: Any, batch: int, *, device: str, **_: Any) -> Latency:
        found["calls"] = found.get("calls", 0) + 1
        return Latency(batch, device, 9, batch / 1000, batch / 1050, batch / 960)

    return measure


def measured(app: AppTest) -> AppTest:
    assert app.session_state["jobs"][timing.KIND].wait(30)
    return checked(app.run())


def test_latency_is_measured_when_asked_for_and_kept_for_blocks_that_do_not_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: dict[str, int] = {}
    monkeypatch.setattr(timing.latency, "measure", quick(calls))
    app = open_blocks()
    assert {table["Latency, batch 1"] for table in tables(app)} == {"–"}
    assert not calls
    app = measured(click(app, "Measure latency"))
    assert link(app) == {"measured": "1"}
    assert calls["calls"] == 4
    assert [table["Latency, batch 32"] for table in tables(app)] == ["32.0 ± 1.4 ms"] * 2
    assert any("the median of 9 to 9 passes" in text for text in texts(app.caption))
    app.number_input(key="widget:input_channels").set_value(32).run()
    assert measured(app)
    assert calls["calls"] == 8
    app.selectbox(key="widget:block2").set_value("fire").run()
    assert measured(app)
    assert calls["calls"] == 10
    assert measured(click(app, "Measure again"))
    assert calls["calls"] == 14


def test_a_link_measures_by_itself_and_really() -> None:
    app = measured(open_blocks(measured="1"))
    for table in tables(app):
        assert all(table[f"Latency, batch {batch}"].endswith(" ms") for batch in (1, 32))


def test_stop_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    second, stopped = threading.Event(), threading.Event()

    def measure(module: Any, size: Any, batch: int, *, device: str, cancel: Any, **_: Any) -> Latency:
        if batch == 32:
            second.set()
            assert stopped.wait(20)
            if cancel():
                raise Cancelled
        return Latency(batch, device, 9, 0.001, 0.001, 0.001)

    monkeypatch.setattr(timing.latency, "measure", measure)
    app = open_blocks(measured="1")
    assert second.wait(20)
    job = app.session_state["jobs"][timing.KIND]
    job.stop()
    stopped.set()
    assert job.wait(20)
    assert job.cancelled
    app = checked(app.run())
    assert [table["Latency, batch 1"] for table in tables(app)] == ["1.00 ± 0.00 ms", "–"]
    assert any("[Stopped]" in text for text in texts(app.caption))


def test_latency_waits_for_what_would_slow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, int] = {}
    monkeypatch.setattr(timing.latency, "measure", quick(calls))
    app = open_blocks(view="occlusion", window="12", stride="1")
    click(app, "Run")
    app.segmented_control(key="widget:view").set_value("blocks").run()
    assert "Measure latency" not in [button.label for button in app.button]
    click(app, "Stop")
    assert app.session_state["jobs"]["occlusion"].wait(20)
    assert measured(click(app.run(), "Measure latency"))
    assert calls["calls"] == 4


def test_a_batch_that_does_not_fit_is_one_sentence_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing.latency, "measure", quick({}))
    monkeypatch.setattr(timing.device, "free_bytes", lambda where: 400_000)
    app = measured(open_blocks(measured="1", block2="residual_basic"))
    assert [warning.split(" needs about ")[0] for warning in texts(app.warning)] == [
        "Residual bottleneck at batch 32", "Residual basic block at batch 32"
    ]  # fmt: skip
    assert tables(app)[0]["Latency, batch 1"] != "–" == tables(app)[0]["Latency, batch 32"]


def test_what_would_take_minutes_on_a_cpu_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing.latency, "measure", quick({}))
    monkeypatch.setattr(timing, "MOST_MACS", 10**6)
    app = measured(open_blocks(measured="1"))  # 0.3 M MACs and 3.4 M
    assert [text.split("; ")[1] for text in texts(app.warning)] == ["on a CPU at most 1.0 M are timed."] * 3
    first, second = tables(app)
    assert first["Latency, batch 1"] != "–" == first["Latency, batch 32"] == second["Latency, batch 1"]


# -- figures ----------------------------------------------------------------------------------------------------------


def test_a_measurement_that_is_not_steady_is_told_as_a_range_and_compared_with_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsteady = Latency(1, "cpu", 9, 0.00172, 0.0015, 0.988)
    monkeypatch.setattr(timing.latency, "measure", lambda *_, **__: unsteady)
    first, second = tables(measured(open_blocks(measured="1")))
    assert first["Latency, batch 1"] == second["Latency, batch 1"] == "not steady: 1.50 to 988 ms"
    blocks = {"a": [Bar(1, "1"), Bar(1, "1", is_firm=False)], "b": [Bar(2, "2"), Bar(2, "2")]}
    bars: Any = relative(blocks, ("P", "L")).data
    assert [list(bar.x) for bar in bars] == [["P"], ["P"]]
    assert Bar(2, "2").over(Bar(1, "1", is_firm=False)) == ""


def test_the_chart_sets_each_figure_over_that_of_the_first_block() -> None:
    blocks = {"a": [Bar(10, "10"), None, Bar(4, "4", spread=1)], "b": [Bar(5, "5"), Bar(3, "3"), None]}
    bars: Any = relative(blocks, ("P", "M", "L")).data
    first, second = bars
    assert (list(first.x), list(first.y), list(first.error_y.array)) == (["P", "L"], [1, 1], [0, 0.25])
    assert (list(second.x), list(second.y), list(second.text)) == (["P"], [0.5], ["0.50×"])


@pytest.mark.parametrize(("last", "kind"), [(19, None), (30, "log"), (0.01, "log")])
def test_figures_far_apart_are_drawn_on_a_logarithmic_axis(last: float, kind: str | None) -> None:
    blocks = {"a": [Bar(1, "1")], "b": [Bar(last, "b")]}
    figure: Any = relative(blocks, ("P",))
    assert figure.layout.yaxis.type == kind


@pytest.mark.parametrize(
    ("seconds", "text"), [((0.00123456, 0.00004), "1.23 ± 0.04 ms"), ((1.25, 0.04), "1,250 ± 40 ms")]
)
def test_times_have_three_digits(seconds: tuple[float, float], text: str) -> None:
    assert milliseconds(*seconds) == text
