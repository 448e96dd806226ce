"""The panel of figure 7 on the page: five panels, the layer that is chosen, and work that is not started unasked."""

from __future__ import annotations

from tests.support.page import errors, open_app, open_trained


def test_five_panels_of_the_strongest_map_stand_on_the_page() -> None:
    app = open_trained(view="paper", paper_figure="occlusion")
    assert not errors(app)
    said = " ".join(element.value for element in app.markdown)
    assert all(f":small[({letter})]" in said for letter in "abcde")
    assert "What excites map 51" in said
    assert "Sum of map 51 (strongest)" in said
    assert any("Map 51 of features.16" in caption.value for caption in app.caption)


def test_the_layer_is_that_of_the_view_occlusion() -> None:
    app = open_trained(view="paper", paper_figure="occlusion", occluded="features.6", position="0,0")
    assert not errors(app)
    assert any("of features.6, projected back" in caption.value for caption in app.caption)
    assert [box.value for box in app.selectbox if box.label == "Layer"] == ["features.6"]


def test_a_layer_without_maps_in_a_link_is_said_and_the_last_maps_are_shown() -> None:
    app = open_trained(view="paper", paper_figure="occlusion", occluded="classifier.6")
    assert not errors(app)
    assert any("is not a layer with maps" in warning.value for warning in app.warning)
    assert any("Map 51 of features.16" in caption.value for caption in app.caption)


def test_what_takes_long_waits_for_the_person() -> None:
    app = open_app(preset="vgg16", weights="random", view="paper", paper_figure="occlusion")
    assert not errors(app)
    assert any(button.label == "Run" for button in app.button)
