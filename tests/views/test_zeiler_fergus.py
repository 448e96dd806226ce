"""The page of the paper's figures: its switch, and what each panel shows."""

from __future__ import annotations

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from explorer.views.zeiler_fergus.page import PAPER_PANELS
from tests.support.page import errors, link, open_trained


def opened(figure: str, **choices: str) -> AppTest:
    """A panel after all its jobs."""
    app = open_trained(view="paper", paper_figure=figure, **choices)
    for _ in range(3):
        for job in app.session_state["jobs"].values():
            job.wait(60)
        app.run()
    return app


def said(app: AppTest) -> str:
    return "\n".join(part.value for part in (*app.main.markdown, *app.main.caption))


def tiles(app: AppTest, number: int) -> list[dict[str, Any]]:
    found: list[Any] = [part for part in app.get("bidi_component") if part.proto.component_name == "explorer_tiles"]  # type: ignore[attr-defined]
    return json.loads(found[number].proto.json)["tiles"]


def test_every_panel_names_its_figure_and_is_in_the_switch() -> None:
    app = opened("first_layer")
    switch = app.segmented_control(key="widget:paper_figure")
    assert list(switch.options) == [panel.title for panel in PAPER_PANELS.values()]
    assert all(panel.figure.split()[0] in ("figure", "table") for panel in PAPER_PANELS.values())


def test_first_layer_filters_stand_beside_alexnets() -> None:
    app = opened("first_layer")
    assert not errors(app)
    assert "7×7, stride 2" in said(app)
    assert "11×11, stride 4" in said(app)
    assert [len(tiles(app, number)) for number in (0, 1)] == [24, 32]
    app.selectbox(key="widget:first_beside").set_value("lenet_mini").run()
    assert link(app)["first_beside"] == "lenet_mini"


def test_pictures_that_take_long_to_draw_wait_for_a_click() -> None:
    app = opened("first_layer", weights="random", k__image_size="384")
    assert "It draws 200 pictures of 384 × 384 px" in said(app)
    assert "first layer" not in app.session_state["jobs"]
    app.button(key="ask first layer").click().run()
    app.session_state["jobs"]["first layer"].stop()
    assert not errors(app)


def test_evolution_shows_the_units_of_the_chosen_epoch() -> None:
    app = opened("evolution", epoch="5", grown_layer="4", grown="7,2")
    assert not errors(app)
    assert "**Projection**, after epoch 5" in said(app)
    before = tiles(app, 0)
    assert [tile["id"] for tile in before] == [7, 2]
    assert [tile["id"] for tile in tiles(app, 1)] == [7, 2]
    app.select_slider(key="widget:epoch").set_value(64).run()
    assert "epoch" not in link(app)  # the last is what a link means that names none
    assert [tile["source"] for tile in tiles(app, 0)] != [tile["source"] for tile in before]
    assert "come to rest" in said(app)


def test_evolution_says_first_that_it_shows_another_network() -> None:
    told = [each.value for each in opened("evolution", preset="resnet_mini", weights="random").main.info]
    assert any(each.startswith("This panel shows **zfnet_mini**") and "not ResNet" in each for each in told)
    assert not opened("evolution").main.info


def test_evolution_does_not_say_of_another_network_that_it_has_learned_nothing() -> None:
    assert "learned nothing yet" in said(opened("first_layer", weights="random"))
    assert "learned nothing yet" not in said(opened("evolution", weights="random"))


def test_channels_that_are_none_are_said() -> None:
    app = opened("evolution", epoch="3", grown="1,x")
    assert any("grown='1,x' is not at most 12 channels" in warning.value for warning in app.warning)
    assert any("epoch='3' is not one of 1, 2, 5" in warning.value for warning in app.warning)


def test_layers_and_channels_that_the_network_has_not_are_said() -> None:
    app = opened("evolution", grown_layer="40", grown="3,999")
    said_of_link = "\n".join(warning.value for warning in app.warning).replace("\\", "")
    assert "grown_layer='40' is beyond the last layer, 7; 3 is shown" in said_of_link
    assert "grown='3,999' is not of channels 0 to" in said_of_link
    assert len(tiles(app, 0)) == 6


def test_invariance_moves_the_pictures_and_says_whether_maps_move_along() -> None:
    app = opened("invariance", move="rotation", moved_count="3")
    assert not errors(app)
    assert "Mean over 3 pictures" in said(app)
    assert "true class" in said(app)
    assert [tile["label"] for tile in tiles(app, 0)][:2] == ["0°", "60°"]
    table = app.main.table[0].value
    assert list(table["Shifted by the stride"])[:3] == ["the same, moved"] * 3
    pools = app.main.table[1].value
    assert list(pools["Pool"]) == ["features.3", "features.7", "features.17"]
    assert all(int(b.strip("%")) > int(p.strip("%")) for b, p in zip(pools["Before"], pools["Behind"], strict=True))
    app.segmented_control(key="widget:moved").set_value("own").run()
    app = opened("invariance", **{name: text for name, text in link(app).items() if name in ("move", "moved")})
    assert "Of one picture." in said(app)
    assert "class that was the most probable before" in said(app)


def test_transfer_fits_a_classifier_to_each_layer_beside_the_untrained_network() -> None:
    app = opened("probes", probed="60", beside_untrained="1")
    assert not errors(app)
    assert "The share of 60 unseen pictures" in said(app)
    (figure,) = (json.loads(part.proto.spec) for part in app.get("plotly_chart"))  # type: ignore[attr-defined]
    assert [trace["name"] for trace in figure["data"]] == ["zfnet_mini", "untrained"]
    assert len(figure["data"][0]["x"]) == 7


def test_a_network_without_first_layer_filters_is_told_of() -> None:
    app = opened("first_layer", first_beside="nonsense")
    assert any("first_beside='nonsense' is not one of" in warning.value for warning in app.warning)
