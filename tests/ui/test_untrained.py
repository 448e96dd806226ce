"""Where weights are random the page says so, and one click leads to a network that was trained."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.ui import untrained, weights
from models.weights.sources import shipped_rows
from tests.support.page import TRAINED, errors, link, open_app, open_trained


def says_random(app: AppTest) -> bool:
    return any(untrained.BADGE in text.value for text in app.main.markdown)


@pytest.mark.parametrize("view", ["workbench", "maps", "occlusion", "deconvnet"])
def test_resnet50_without_a_download_is_said_to_have_learned_nothing_and_a_trained_one_is_a_click_away(
    view: str,
) -> None:
    app = open_app(preset="resnet50", view=view, window="112", stride="112")
    assert says_random(app)
    app.button(key="open trained").click().run()
    assert not errors(app)
    assert not says_random(app)
    assert app.title[0].value == "ResNet · resnet_mini"
    assert app.segmented_control(key="widget:view").value == view
    assert app.selectbox(key="widget:weights").value == "shipped"


def test_of_a_network_that_comes_trained_the_weights_are_changed_and_the_knobs_stay() -> None:
    app = open_trained(weights="random", k__activation="silu")
    assert says_random(app)
    app.button(key="open trained").click().run()
    assert not says_random(app)
    assert link(app) == {"preset": TRAINED, "k.activation": "silu"}


def test_every_architecture_has_a_network_that_comes_trained() -> None:
    for entry in models.architectures():
        for preset in entry.presets:
            found = weights.trained(preset)
            assert found in shipped_rows()
            assert found in entry.presets
            assert found == preset or preset not in shipped_rows()


def test_where_none_comes_trained_there_is_no_button(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "trained", lambda preset: None)
    app = open_app(preset="lenet5", view="maps")
    assert says_random(app)
    assert "open trained" not in [button.key for button in app.button]
