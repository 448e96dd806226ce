"""Stories: links on a first visit, each step sets the page and says what the network at hand comes to."""

from __future__ import annotations

import time

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.networks.catalog import structure
from explorer.networks.stories import BLOCKS_COMPARED, COMPARED_MAP, STORIES, told
from explorer.views.workbench.page import PANELS
from tests.support.page import errors, link, open_app

KEYS = [f"story {name}" for name in STORIES]


def buttons(app: AppTest) -> set[str]:
    return {button.key for button in app.button if button.key}


def settled(app: AppTest) -> AppTest:
    end = time.monotonic() + 60
    while any(button.label == "Stop" for button in app.button):
        assert time.monotonic() < end, "the job takes too long"
        time.sleep(0.3)
        app.run()
    return app


def test_a_first_visit_offers_the_stories_and_an_edited_page_does_not() -> None:
    assert set(KEYS) <= buttons(open_app())
    assert not set(KEYS) & buttons(open_app(preset="lenet5"))


def test_a_story_is_begun_turned_and_closed_and_is_in_the_link() -> None:
    app = open_app().button(key="story field").click().run()
    assert {"story": "field", "preset": "vgg16", "panel": "field", "layer": "features.2"}.items() <= link(app).items()
    assert any("sees 5 × 5 px" in text.value for text in app.markdown)
    app = app.button(key="story next").click().run()
    assert any("sees 196 × 196 px of the 224 × 224 px picture" in text.value for text in app.markdown)
    again = open_app(**link(app))
    assert any("What a unit sees · 2 of 3" in text.value for text in again.markdown)
    closed = app.button(key="story close").click().run()
    assert "story" not in link(closed)
    assert link(closed)["preset"] == "vgg16"
    assert not errors(closed)


def test_the_step_that_speaks_of_the_effective_field_shows_it_and_the_one_before_does_not() -> None:
    app = open_app(story="field", step="1", preset="vgg16", panel="field", layer="features.28")
    app = app.button(key="story next").click().run()
    assert link(app)["lens"] == "effective"
    assert "lens" not in link(app.button(key="story back").click().run())


def test_who_leaves_the_network_of_a_step_can_return() -> None:
    app = open_app(story="field", step="1", preset="lenet5", panel="field")
    assert any("is about vgg16" in text.value for text in app.markdown)
    assert link(app.button(key="story return").click().run())["layer"] == "features.28"


@pytest.mark.parametrize("name", STORIES)
def test_every_step_names_a_network_a_panel_and_figures_that_are_there(name: str) -> None:
    for step in STORIES[name].steps:
        spec = models.spec(step.preset, **step.knobs)
        analysis = structure(spec, (3, spec.image_size, spec.image_size))
        assert "{" not in told(step, analysis)
        assert step.settings.get("panel", "layer") in PANELS
        assert analysis[step.settings.get("layer", analysis.head_layer)]


def test_the_compared_blocks_hand_on_what_they_take() -> None:
    """At equal output: in each, 128 channels of 28 × 28 come in and leave."""
    for name in BLOCKS_COMPARED:
        block = models.block(name)
        assert block.output_shape(block.fit(COMPARED_MAP[0], COMPARED_MAP[0]), COMPARED_MAP[1]) == COMPARED_MAP


def test_three_quarters_of_mobilenet_v1s_multiply_accumulates_and_more_are_in_1x1_convolutions() -> None:
    """Howard et al. 2017, table 2: 94.86 %."""
    spec = models.spec("mobilenet_v1")
    assert "95 % of them" in told(STORIES["depthwise"].steps[1], structure(spec, (3, 224, 224)))


def test_gradients_of_networks_that_were_looked_at_stay_for_comparison() -> None:
    app = settled(open_app(preset="resnet_mini", panel="gradients"))
    assert any("The gradient at conv1 is" in text.value for text in app.markdown)
    app.session_state["state"]["preset"] = "preact_resnet_mini"
    app = settled(app.run())
    assert len(app.session_state["gradient curves"]) == 2
    assert not errors(app)
