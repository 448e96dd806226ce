"""The Deconvnet page: the unit that is projected, the way back step by step, rules, the link, and what cannot be."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explorer.errors import UserError
from explorer.views.deconvnet import rules
from explorer.views.deconvnet.unit import ProjectedUnit
from tests.support.page import errors, link, load_with_nan, open_trained

WAIT_S = 40


def open_deconvnet(**asked: str) -> AppTest:
    """The page with all of its work done."""
    return settled(open_trained(view="deconvnet", **asked))


def settled(app: AppTest) -> AppTest:
    for kind in ("maps", "deconvnet", "deconvnet strongest"):
        if kind in app.session_state["jobs"]:
            assert app.session_state["jobs"][kind].wait(WAIT_S)
            app.run()
    assert not app.exception
    return app


def plain(text: str) -> str:
    """Without what keeps Markdown from reading a name as its own."""
    return text.replace("\\", "").replace("\u2060", "")


def said(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption))


def strongest(app: AppTest) -> list[ProjectedUnit]:
    return app.session_state["jobs"]["deconvnet strongest"].result


# -- the unit ---------------------------------------------------------------------------------------------------------


def test_the_strongest_unit_is_projected_and_nine_channels_are_beside_it() -> None:
    app = open_deconvnet(layer="features.10")
    units = strongest(app)
    activations = [unit.projection.activation for unit in units]
    assert len(units) == 9
    assert activations == sorted(activations, reverse=True)
    first = units[0].projection
    row, column = first.position
    assert f"Channel {first.channel} of features.10 at row {row}, column {column}" in said(app)
    assert app.number_input(key="widget:back channel").value == first.channel
    assert {button.label for button in app.download_button} >= {"Projection (PNG)", "Projection (NPY)"}


def test_a_projection_is_0_outside_of_what_the_unit_sees() -> None:
    for unit in strongest(open_deconvnet(layer="features.10")):
        signal, (top, left, bottom, right) = unit.projection.signal.clone(), unit.box
        assert signal.count_nonzero() > 0
        signal[:, top:bottom, left:right] = 0
        assert signal.count_nonzero() == 0


def test_a_unit_of_the_link_is_shown() -> None:
    app = open_deconvnet(layer="features.10", channel="5", row="2", column="3", back="guided", back_extent="whole")
    assert "Channel 5 of features.10 at row 2, column 3" in said(app)
    assert app.selectbox(key="widget:back").value == "guided"
    assert app.selectbox(key="widget:back_extent").value == "whole"


def test_another_channel_has_its_own_strongest_unit() -> None:
    app = open_deconvnet(layer="features.10", channel="5", row="2", column="3")
    settled(app.number_input(key="widget:back channel").set_value(6).run())
    assert link(app) | {"channel": "6"} == link(app)
    assert "row" not in link(app)
    assert "Channel 6 of features.10" in said(app)


def test_a_class_is_projected_from_the_last_layer() -> None:
    app = open_deconvnet(layer="classifier.6")
    assert "Channel 3 (cat): **" in said(app)
    assert "sees the whole picture" in said(app)


@pytest.mark.parametrize(
    ("back", "says"), [("gradient", "Nothing comes back"), ("deconvnet", "without the activation as a factor")]
)
def test_a_unit_that_is_0_is_explained(back: str, says: str) -> None:
    maps = open_deconvnet(layer="features.10").session_state["jobs"]["maps"].result.maps.maps
    channel, row, column = (str(found[0]) for found in (maps == 0).nonzero())
    app = open_deconvnet(layer="features.10", channel=channel, row=row, column=column, back=back)
    assert "activation 0." in said(app)
    assert says in said(app)


# -- the way back -----------------------------------------------------------------------------------------------------


def test_the_way_back_is_stepped_through_and_kept_in_the_link() -> None:
    app = open_deconvnet(layer="features.4")
    assert "**Step 0 of 5**" in said(app)
    assert "**starts** with 1" in said(app)
    assert app.button(key="back step Back").disabled
    seen = []
    for step in range(1, 6):
        settled(app.button(key="back step Next").click().run())
        assert f"**Step {step} of 5**" in said(app)
        seen.append(app.slider(key="widget:back step").value)
    assert seen == [1, 2, 3, 4, 5]
    assert link(app)["back_step"] == "5"
    assert "at the output of **input**" in said(app)
    assert app.button(key="back step Next").disabled
    settled(app.button(key="back step Back").click().run())
    assert "**Step 4 of 5**" in said(app)


@pytest.mark.parametrize(
    ("step", "says"), [("1", "**filter**"), ("2", "**unpool**"), ("3", "**rectify**"), ("4", "**scale** each channel")]
)
def test_each_step_says_what_it_does(step: str, says: str) -> None:
    assert says in said(open_deconvnet(layer="features.4", back_step=step))


def test_a_step_behind_the_last_is_the_last() -> None:
    assert "**Step 5 of 5**" in said(open_deconvnet(layer="features.4", back_step="999"))


def test_another_layer_starts_over() -> None:
    app = open_deconvnet(layer="features.4", back_step="3", channel="1")
    settled(app.selectbox(key="widget:back layer").select("features.2").run())
    assert "**Step 0 of 3**" in said(app)
    assert link(app)["layer"] == "features.2"


# -- rules ------------------------------------------------------------------------------------------------------------


def test_a_changed_rule_is_in_the_link_and_changes_the_projection() -> None:
    app = open_deconvnet(layer="features.10")
    before = strongest(app)[0].projection.signal
    settled(app.selectbox(key="widget:back rule relu").select("pass").run())
    assert link(app)["back_rules"] == "relu:pass"
    assert not strongest(app)[0].projection.signal.equal(before)
    settled(app.selectbox(key="widget:back rule relu").select("rectify").run())
    assert "back_rules" not in link(app), "that is the method's own rule"
    assert strongest(app)[0].projection.signal.equal(before)


def test_another_method_has_its_own_rules() -> None:
    app = open_deconvnet(layer="features.10", back_rules="relu:pass")
    settled(app.selectbox(key="widget:back").select("gradient").run())
    assert link(app)["back"] == "gradient"
    assert "back_rules" not in link(app)
    assert app.selectbox(key="widget:back rule relu").value == "gradient"


@pytest.mark.parametrize("text", ["relu", "relu:hold", "conv:pass", ":pass", "relu:pass,x:y"])
def test_text_that_is_no_rule(text: str) -> None:
    with pytest.raises(UserError, match="no kind of layer with one of its rules"):
        rules.decode_rules(text)


def test_rules_of_a_link_come_back() -> None:
    text = "silu:pass,mul:gradient"
    assert rules.encode_rules(rules.decode_rules(text)) == text


# -- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"back": "lrp"}, "In the link: back='lrp' is not one of deconvnet, guided, gradient; deconvnet is used."),
        (
            {"back_rules": "relu:hold"},
            "In the link: back_rules='relu:hold' has a part that is no kind of layer with one of its rules: "
            "'relu:hold'; the method's own table is used.",
        ),
    ],
)
def test_a_wrong_link_is_one_sentence_and_the_page_goes_on(asked: dict[str, str], sentence: str) -> None:
    app = open_deconvnet(layer="features.10", **asked)
    assert [plain(warning.value) for warning in app.warning] == [sentence]
    assert strongest(app)


def test_a_unit_that_is_not_finite_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    load_with_nan(monkeypatch)
    app = open_deconvnet(layer="features.8", channel="0", weights="random", seed="79")
    assert any("the activation of the unit is not finite" in error for error in errors(app))
    assert app.selectbox(key="widget:back layer").value == "features.8"
