"""Measured figures of layers on the page: asked for, worked out in jobs, kept for the network and picture at hand."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.latency import Latency
from explorer.analysis.layer_latency import LayerLatencies
from explorer.ui import jobs, metrics
from explorer.ui.session import Session
from explorer.views.workbench import graph
from tests.support.page import errors, open_trained


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer takes 2 ms: how layers are timed is tested elsewhere."""

    def timed(program: Any, **_: Any) -> LayerLatencies:
        seconds = {layer.id: 0.002 for layer in program.graph if layer.kind != "input"}
        return LayerLatencies(seconds, 7, Latency(1, "cpu", 7, 0.05, 0.05, 0.05))

    monkeypatch.setattr(metrics, "layer_latencies", timed)


def asked(app: AppTest, kind: str) -> AppTest:
    app.button(key=f"measure {kind}").click().run()
    app.session_state["jobs"][kind].wait(60)
    app.run()
    assert not errors(app)
    return app


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.main.caption)


def table(app: AppTest) -> Any:
    state = {**app.session_state["state"], "panel": "layers"}
    app.session_state["state"] = state
    app.run()
    assert not errors(app)
    return app.dataframe[0].value.set_index("Layer")


def test_nothing_is_measured_before_it_is_asked_for() -> None:
    app = open_trained(panel="costs")
    assert not errors(app)
    assert not {metrics.TIMED, metrics.LOOKED} & set(app.session_state.get("jobs", {}))
    assert not {metrics.LATENCY, *metrics.SHARES} & set(table(app).columns)


def test_what_is_measured_while_the_page_is_drawn_reaches_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is drawn before the panel beside it, which is the first to hear that the measurement has ended."""
    gate, drawn = Event(), list[set[str]]()
    quick, control, draw = metrics.layer_latencies, metrics._control, graph.layer_graph

    def timed(*given: Any, **options: Any) -> LayerLatencies:
        assert gate.wait(60)
        return quick(*given, **options)

    def late(kind: str, key: tuple[str, ...], session: Session, *rest: Any) -> None:
        if job := jobs.current(kind, (*session.key, key)):
            gate.set()
            job.wait(60)
        control(kind, key, session, *rest)

    def seen(*given: Any, **options: Any) -> None:
        drawn.append({*options["metrics"]})
        draw(*given, **options)

    monkeypatch.setattr(metrics, "layer_latencies", timed)
    monkeypatch.setattr(metrics, "_control", late)
    monkeypatch.setattr(graph, "layer_graph", seen)
    app = open_trained(panel="costs")
    app.button(key=f"measure {metrics.TIMED}").click().run()
    assert drawn[-1] == set()
    app.run()
    assert not errors(app)
    assert drawn[-2:] == [set(), {metrics.LATENCY}]
    assert "The layers add up to" in captions(app)


def test_latency_is_told_beside_the_whole_pass_and_stands_in_the_table() -> None:
    app = asked(open_trained(panel="costs"), metrics.TIMED)
    assert "The layers add up to 54 ms, 8 % more than the 50 ms of passes in which none" in captions(app)
    assert app.button(key=f"measure {metrics.TIMED}").label == "Measure latency again"
    column = table(app)[metrics.LATENCY]
    assert column["features.0"] == pytest.approx(2)
    assert column.isna().tolist() == [True, *[False] * (len(column) - 1)], "the image alone takes no time"


def test_a_chosen_layer_has_what_was_measured_among_its_figures() -> None:
    app = asked(open_trained(panel="costs", layer="features.0"), metrics.TIMED)
    app.session_state["state"] = {**app.session_state["state"], "panel": "layer"}
    app.run()
    assert f":small[{metrics.LATENCY}]  \n**2**" in [text.value for text in app.markdown]


def test_dead_channels_and_zeros_are_those_of_the_picture() -> None:
    app = asked(open_trained(panel="costs"), metrics.LOOKED)
    assert "Dead for this picture: " in captions(app)
    found = table(app)
    assert found[metrics.ZEROS]["features.0"] == found[metrics.ZEROS]["features.2"] > 0, "behind its activation"
    app.session_state["state"] = {**app.session_state["state"], "panel": "costs", "image": "car"}
    app.run()
    assert "Dead for this picture" not in captions(app), "of another picture nothing is known"
    app.session_state["state"] = {**app.session_state["state"], "image": ""}
    app.run()
    assert "Dead for this picture: " in captions(app), "what was found is kept"


def test_a_changed_network_has_figures_of_its_own() -> None:
    app = asked(open_trained(panel="costs", k__activation="silu"), metrics.TIMED)
    assert "The layers add up" in captions(app)
    app.button(key="unchanged").click().run()
    assert "The layers add up" not in captions(app)


def test_what_cannot_be_looked_at_is_one_sentence() -> None:
    app = open_trained(panel="costs", k__in_channels="2")
    app.button(key=f"measure {metrics.LOOKED}").click().run()
    app.session_state["jobs"][metrics.LOOKED].wait(60)
    app.run()
    assert "in_channels=2: a picture has 3 channels, or 1 in gray." in errors(app)
