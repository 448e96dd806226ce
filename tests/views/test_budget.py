"""The budget of the workbench: figures that keep or pass their limits, and the search that goes into the knobs."""

from __future__ import annotations

import time

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.networks.footprint import footprint
from explorer.networks.knob_text import decode_knob
from explorer.views.workbench import budget
from tests.support.page import errors, link, open_app

BUDGET = {"preset": "resnet_mini", "panel": "budget"}


def settled(app: AppTest, timeout_s: float = 60) -> AppTest:
    """The page once no job is shown any more."""
    end = time.monotonic() + timeout_s
    while any(button.label == "Stop" for button in app.button):
        assert time.monotonic() < end, "the search takes too long"
        time.sleep(0.3)
        app.run()
    return app


def click(app: AppTest, label: str) -> AppTest:
    return settled(next(button for button in app.button if button.label == label).click().run())


def test_figures_say_whether_they_keep_their_limit() -> None:
    assert budget.verdict("params", 5e6, None) == "Parameters  \n**5 M**"
    assert budget.verdict("params", 5e6, 10e6) == "Parameters  \n:green[:material/check_circle: **5 M**, 50.0 % left]"
    assert budget.verdict("params", 5e6, 4e6) == "Parameters  \n:red[:material/cancel: **5 M**, 25.0 % above]"
    assert budget.verdict("latency_s", None, 1.0) == "Latency  \nnot measured"


def test_a_link_with_limits_shows_what_passes_them() -> None:
    app = open_app(**BUDGET, max_params="0.1", max_macs="100")
    shown = [text.value for text in app.markdown]
    assert not errors(app)
    assert any(":red[" in text and text.startswith("Parameters") for text in shown)
    assert any(":green[" in text and text.startswith("MACs") for text in shown)


@pytest.mark.parametrize("way", ["width", "compound"])
def test_a_fit_goes_into_the_knobs_as_one_step(way: str) -> None:
    app = click(open_app(**BUDGET, max_params="0.1", scale_by=way), "Fit to the limits")
    knobs = {name.removeprefix("k."): text for name, text in link(app).items() if name.startswith("k.")}
    base = models.spec("resnet_mini")
    found = base.replace(**{name: decode_knob(type(base), name, text) for name, text in knobs.items()})
    assert 0.99e5 <= footprint(found).params <= 1e5
    assert "below the limit of 0.1 M" in app.success[0].value
    assert len(app.session_state["history"].past) == 1


def test_what_cannot_be_met_is_said_and_the_knobs_stay() -> None:
    app = click(open_app(**BUDGET, max_params="0.01", scale_by="resolution"), "Fit to the limits")
    assert "No resolution of this network keeps params" in errors(app)[0]
    assert not [name for name in link(app) if name.startswith("k.")]
    again = settled(app.run())
    assert len(errors(again)) == 1
    assert "budget asked" not in again.session_state


def test_latency_is_measured_on_request() -> None:
    app = click(open_app(**BUDGET, max_latency_s="100000"), "Measure latency")
    assert any(text.value.startswith("Latency  \n:green[") for text in app.markdown)


def test_a_limit_that_is_no_number_is_refused_in_the_link() -> None:
    app = open_app(**BUDGET, max_params="many", max_macs="-1")
    assert len(app.warning) == 2
    assert "max_params='many' is not a number" in app.warning[0].value
