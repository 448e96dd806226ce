"""The receptive-field lens: unit and layer, the three lenses, playing, the proof, and pictures that are too small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.analysis.effective_field import EffectiveField
from explorer.analysis.field_proof import Counterexample, FieldProof, LayerProof
from explorer.analysis.structure import analyze
from explorer.analysis.unproductive import outgrown_image
from explorer.figures import field as figures
from explorer.figures import raster
from tests.support.page import errors, link, load_with_nan, open_app, open_trained


def opened(**asked: str) -> AppTest:
    app = open_trained(view="workbench", panel="field", **asked)
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.caption, *app.markdown))


def followed(app: AppTest) -> str:
    """What is said once the job that follows a pixel or unit has ended."""
    for _ in range(100):
        if " reaches " in said(app):
            break
        app.run()
    return said(app)


# -- figures -----------------------------------------------------------------------------------------------------------


def test_what_is_not_seen_is_gray_and_what_is_stays() -> None:
    picture = np.full((8, 8, 3), 255, np.uint8)
    shown = figures.seen(picture, (2, 0, 5, 8))
    assert (shown[2:5] == 255).all()
    assert (shown[:2] < 255).all()
    assert (shown[5:] < 255).all()


def test_heat_is_brightest_where_the_mass_is_greatest_and_gray_where_there_is_none() -> None:
    picture, mass = np.full((8, 8, 3), 100, np.uint8), np.zeros((8, 8))
    mass[3, 4], mass[3, 5] = 0.8, 0.2
    shown = figures.heat(picture, mass, 1.0)
    assert shown[3, 4].tolist() == [0xFE, 0xE8, 0x38]
    half = raster.colourise(np.array([0.5]), (0.0, 1.0))[0]  # the root of a quarter
    assert shown[3, 5].tolist() == half.tolist()
    assert len(np.unique(shown[:2].reshape(-1, 3), axis=0)) == 1


def test_reached_cells_are_yellow() -> None:
    at = raster.stretched((2, 2), (8, 8))
    shown = figures.reached(np.zeros((8, 8, 3), np.uint8), np.array([[True, False], [False, False]]), at)
    assert shown[0, 0, 0] > 150 > shown[-1, -1, 0]
    assert (shown[4:] == shown[-1, -1]).all()


def test_unproductive_convolutions_are_crossed_in_the_curve() -> None:
    analysis = analyze(models.build("vgg16", device="meta").eval(), (3, 32, 32))
    found = outgrown_image(analysis)
    crosses: Any = figures.marked_growth(analysis, "features.0", found).data[-1]
    assert [point[0] for point in crosses.customdata] == list(found.unproductive)
    assert crosses.marker.symbol == "x"


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_unit_of_the_link_is_said_with_what_lies_in_the_padding() -> None:
    """By hand: features.8 of zfnet_mini sees 51 px, and its first unit 8 × 8 begins 19 px before the picture."""
    text = said(opened(layer="features.8", row="0", column="4"))
    assert "Row 0, column 4 of 8 × 8 can see 51 × 51 px: rows 0 to 31, columns 13 to 63." in text
    assert "in the padding, lie 19 px above." in text


def test_next_and_before_keep_the_place_on_the_picture() -> None:
    app = opened(layer="features.6", row="3", column="13")  # 16 × 16
    app.button(key="field next").click().run()
    assert link(app)["layer"] == "features.7"  # the pool, 8 × 8, whose unit i reads 2i to 2i + 2
    assert (link(app)["row"], link(app)["column"]) == ("1", "6")
    app.button(key="field before").click().run()
    assert link(app)["layer"] == "features.6"
    assert (link(app)["row"], link(app)["column"]) == ("3", "13")


def test_without_a_chosen_unit_the_middle_stays_the_middle() -> None:
    app = opened(layer="features.6")
    app.button(key="field next").click().run()
    assert "row" not in link(app)
    assert "Row 4, column 4 of 8 × 8" in said(app)


def test_the_effective_field_has_radii_and_keeps_to_the_theoretical_one() -> None:
    text = said(opened(layer="features.8", lens="effective", lens_inputs="2"))
    assert "over 2 noise inputs: 50 % within" in text
    assert "the theoretical field ends at 25.5 px" in text
    assert "None lies outside the field." in text


def test_the_effective_field_of_the_picture_and_of_one_channel() -> None:
    text = said(opened(layer="features.8", lens="effective", lens_source="picture", lens_sum="one", channel="3"))
    assert "of channel 3 at row 4, column 4, over the picture" in text


def test_what_gates_bring_is_said_as_a_share() -> None:
    text = said(opened(preset="senet_mini", layer="layer3.0.conv2", lens="effective", lens_inputs="1"))
    assert "comes by gates, from outside the local field" in text


def test_mass_outside_the_field_is_called_a_counter_example(monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(*_: object) -> list[EffectiveField]:
        return [EffectiveField(np.full((64, 64), 1 / 64**2), (32.0, 32.0), 1)]

    monkeypatch.setattr("explorer.views.workbench.lens.effective_field_steps", steps)
    assert "which is a counter-example to it" in said(opened(layer="features.2", lens="effective"))


def test_a_gradient_that_is_not_finite_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    load_with_nan(monkeypatch)
    app = opened(layer="features.11", lens="effective", weights="random", seed="4711")  # of no other test's network
    assert any("not finite" in error for error in errors(app))


def test_a_pixel_reaches_units() -> None:
    text = said(opened(layer="features.0", lens="projective", pixel_row="20", pixel_column="20"))
    # 7 × 7 at a stride of 2: a pixel lies in 3 or 4 windows along each axis
    assert "The pixel at row 20, column 20 reaches" in text
    count = int(text.split("column 20 reaches ")[1].split(" ")[0])
    assert count in (9, 12, 16)


def test_a_unit_of_an_inner_layer_reaches_the_windows_that_it_lies_in() -> None:
    """Windows of 3 at a stride of 2 begin at 6 and 8: row 8 lies in two of them, column 9 in one."""
    app = opened(layer="features.3", lens="projective", reach_from="features.2", pixel_row="8", pixel_column="9")
    assert "The unit of features.2 at row 8, column 9 reaches 2 of" in followed(app)
    assert "rows 3 to 4, columns 4 to 4" in said(app)
    app.selectbox(key="widget:reach from").set_value("input").run()
    assert "The pixel at row 32, column 32 reaches" in followed(app), "the middle of another map"
    assert "reach_from" not in link(app)
    assert "pixel_row" not in link(app)


def test_a_layer_that_is_not_before_the_chosen_one_is_said_and_a_pixel_followed() -> None:
    text = followed(opened(layer="features.0", lens="projective", reach_from="features.5"))
    assert "features.5 is not before features.0" in text
    assert "The pixel at row" in text


def test_the_proof_gives_each_layer_a_tick() -> None:
    app = opened(layer="features.8")
    assert "Proven" not in said(app)
    app.button(key="prove fields").click().run()
    app.run()
    assert "✓ Proven" in said(app)
    assert "Proven for all its 64 units." in said(app)
    marks = app.dataframe[0].value
    assert set(marks[""]) == {"✓"}
    assert len(marks) == 19


def test_a_refuted_field_is_shown_with_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Counterexample((1, 2), "strict", (0, 0, 9, 9), (0, 0, 5, 9))
    false = FieldProof((LayerProof("features.8", "differs", 64, unit),), 128)
    monkeypatch.setattr("explorer.views.workbench.proof.prove_fields", lambda *_: false)
    app = opened(layer="features.8")
    app.button(key="prove fields").click().run()
    app.run()
    assert (
        "features.8, row 1, column 2: computed (strict) rows 0 to 8, columns 0 to 8, found rows 0 to 4"
        in app.error[0].value
    )


def test_a_picture_that_is_too_small_is_said_and_mended() -> None:
    app = opened()
    assert "1 of 5 convolutions unproductive" in said(app)
    app.button(key="larger image").click().run()
    assert link(app)["k.image_size"] == "68"
    assert "unproductive" not in said(app)


def test_playing_goes_through_the_layers_and_ends() -> None:
    app = opened(layer="features.0")
    app.button(key="field play").click().run()
    assert app.button(key="field play").label == "Stop"
    assert not [control for control in app.button if control.label == "Prove it"]
    app.button(key="field play").click().run()
    assert app.button(key="field play").label == "Play"


def test_a_network_without_a_picture_is_looked_at_on_gray() -> None:
    app = opened(layer="features.8")
    app.segmented_control(key="widget:source").set_value("upload").run()
    assert errors(app) == ["Choose a picture in the sidebar first."]
    assert "can see 51 × 51 px" in said(app)


def test_settings_of_the_link_that_make_no_sense_are_said() -> None:
    app = opened(lens="sideways", lens_inputs="1000")
    notices = " ".join(element.value for element in app.warning)
    assert "lens=" in notices
    assert "lens_inputs=" in notices


def test_the_table_says_which_layers_have_outgrown_the_picture() -> None:
    shown = open_app(preset="vgg16", weights="random", panel="layers", k__image_size="64").dataframe[0].value
    told = dict(zip(shown["Layer"], shown["Picture"], strict=True))
    assert told["features.0"] == ""
    assert told["features.24"] == "unproductive"
    assert told["features.30"] == "exceeded"
    assert "Picture" not in open_app(preset="lenet5", panel="layers").dataframe[0].value
