"""What takes a while is worked out beside the page: it shows progress, stops, says its error, and goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from explorer.errors import Cancelled
from explorer.networks import catalog
from explorer.ui import awaited
from explorer.ui import session as sessions
from tests.support.page import errors, open_trained

WAIT_S = 30
UNSEEN = {"weights": "random", "seed": "91"}


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page waits for nothing, as where the work is long."""
    monkeypatch.setattr(awaited, "GRACE_S", 0)


class Held:
    """Loads networks, but only once it is let; keeps the names of the threads that asked."""

    def __init__(self, load: Any) -> None:
        self.load, self.free, self.threads = load, threading.Event(), list[str]()

    def __call__(self, session: sessions.Session, cancel: Any = lambda: False) -> Any:
        self.threads.append(threading.current_thread().name)
        while not self.free.wait(0.01):
            if cancel():
                raise Cancelled
        return self.load(session, cancel)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, impatient: None) -> Iterator[Held]:
    found = Held(sessions.Session.load)
    monkeypatch.setattr(sessions.Session, "load", lambda *args: found(*args))
    yield found
    found.free.set()


def progress(app: AppTest) -> list[str]:
    return [bar.proto.text for bar in app.get("progress")]  # pyright: ignore[reportAttributeAccessIssue]


def settled(app: AppTest, kind: str) -> AppTest:
    assert app.session_state["jobs"][kind].wait(WAIT_S)
    return app.run()


@pytest.mark.parametrize(
    ("view", "kind", "says", "then"),
    [("maps", "maps", "Running the picture through", "Prediction"), ("occlusion", "timing", "Timing one", None)],
)
def test_the_page_goes_on_while_the_network_is_built(
    held: Held, view: str, kind: str, says: str, then: str | None
) -> None:
    app = open_trained(view=view, window="12", stride="1", **UNSEEN)
    assert not errors(app)
    assert progress(app)[0].startswith(says)
    assert app.selectbox(key="widget:preset").value == "zfnet_mini", "the sidebar is there, and works"
    held.free.set()
    settled(app, kind)
    assert not errors(app)
    assert not progress(app)
    assert then in [heading.value for heading in app.subheader] if then else "Run" in [b.label for b in app.button]
    assert held.threads
    assert all(name.startswith("job ") for name in held.threads)


def test_another_choice_stops_the_work_for_the_one_before(held: Held) -> None:
    app = open_trained(view="maps", **UNSEEN)
    first = app.session_state["jobs"]["maps"]
    app.segmented_control(key="widget:view").set_value("workbench").run()
    app.selectbox(key="widget:preset").set_value("zfnet").run()
    assert first.wait(WAIT_S)
    assert first.cancelled
    held.free.set()
    app.selectbox(key="widget:preset").set_value("zfnet_mini").run()
    app.segmented_control(key="widget:view").set_value("maps").run()
    settled(app, "maps")
    assert "Prediction" in [heading.value for heading in app.subheader], "the person stopped nothing"


def test_the_work_goes_on_through_reruns_of_the_page(held: Held) -> None:
    app = open_trained(view="maps", **UNSEEN)
    first = app.session_state["jobs"]["maps"]
    app.run()
    assert app.session_state["jobs"]["maps"] is first
    assert not first.should_stop()
    held.free.set()
    settled(app, "maps")
    assert len(held.threads) == 2, "once for the prediction, once for the maps"


def test_stop_leaves_a_button_that_goes_on(held: Held) -> None:
    app = open_trained(view="maps", **UNSEEN)
    app.button(key="stop maps").click().run()
    settled(app, "maps")
    assert not progress(app)
    held.free.set()
    app.button(key="go on maps").click().run()
    settled(app, "maps")
    assert "Prediction" in [heading.value for heading in app.subheader]


def test_after_a_stop_another_layer_can_be_chosen(held: Held) -> None:
    app = open_trained(view="maps", **UNSEEN)
    app.button(key="stop maps").click().run()
    settled(app, "maps")
    held.free.set()
    app.selectbox(key="widget:maps layer").set_value("features.0").run()
    settled(app, "maps")
    assert "Prediction" in [heading.value for heading in app.subheader]


def test_one_who_waits_for_the_network_that_another_loads_can_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    free, inside = threading.Event(), threading.Event()

    def loaded(*args: Any) -> None:
        inside.set()
        assert free.wait(WAIT_S)

    monkeypatch.setattr(sessions, "_loaded", loaded)
    session: Any = SimpleNamespace(network_key=("one",))
    first = threading.Thread(target=sessions._load, args=(session, lambda: False))
    first.start()
    assert inside.wait(WAIT_S)
    with pytest.raises(Cancelled):
        sessions._load(session, lambda: True)
    free.set()
    first.join()


def test_an_error_is_said_once_and_tried_again_at_the_next_choice(
    monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setattr("explorer.run.device.free_bytes", lambda device: 1_000)
    app = settled(open_trained(view="maps", **UNSEEN), "maps")
    (error,) = errors(app)
    assert "1.0 kB free" in error
    monkeypatch.undo()
    monkeypatch.setattr(awaited, "GRACE_S", WAIT_S)
    app.run()
    assert not errors(app)
    assert "Prediction" in [heading.value for heading in app.subheader]


def test_to_build_a_network_can_be_stopped_in_its_middle() -> None:
    asked = 0

    def cancel() -> bool:
        nonlocal asked
        asked += 1
        return asked > 20

    with pytest.raises(Cancelled):
        catalog.load(catalog.find("vgg11"), catalog.weights_source("vgg11", "random"), cancel=cancel)
    assert asked == 21
