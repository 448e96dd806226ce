"""The panel of table 1 on the page: the layers, one layer part by part, and what came out in a sentence."""

from __future__ import annotations

from tests.support.page import errors, open_app, open_trained


def test_the_layers_and_the_parts_of_a_class_are_there() -> None:
    app = open_trained(view="paper", paper_figure="correspondence", parts_of="face", part_groups="3")
    app.run()  # the job may have ended only after the first
    assert not errors(app)
    (sentence,) = (element.value for element in app.markdown if element.value.startswith("In "))
    assert "over 6 parts" in sentence
    assert "In avgpool, changes by hidden parts differ" in sentence  # the last layer with rows and columns
    assert "\\>" not in sentence


def test_a_layer_that_a_link_names_is_shown() -> None:
    app = open_trained(view="paper", paper_figure="correspondence", parts_of="tree", part_groups="2", part_layer="1")
    app.run()
    assert not errors(app)
    assert any(element.value.startswith("In features.7") for element in app.markdown)


def test_an_untrained_network_can_be_asked_as_well() -> None:
    app = open_app(preset="lenet5", view="paper", paper_figure="correspondence", parts_of="tree", part_groups="2")
    app.run()
    assert not errors(app)


def test_what_takes_minutes_waits_for_a_click() -> None:
    app = open_trained(view="paper", paper_figure="correspondence", part_groups="100")
    assert not app.session_state["jobs"]
    assert app.button(key="ask correspondence").label == "Run"
