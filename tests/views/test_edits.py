"""Undo, redo, a random network, and the list of what changed, as a person meets them on the workbench."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest

import models
from explorer.networks.knob_paths import differences, written
from tests.support.page import edit_cell, errors, link, open_app


def button(app: AppTest, key: str) -> Any:
    return app.button(key=key)


def test_an_edited_cell_is_undone_and_redone() -> None:
    app = open_app(preset="resnet18", panel="knobs")
    assert button(app, "undo").disabled
    assert button(app, "redo").disabled
    edit_cell(app, 2, "depths", 5)
    assert link(app)["k.depths"] == "2,2,5,2"
    assert button(app, "undo").help == "depths"
    button(app, "undo").click().run()
    assert "k.depths" not in link(app)
    assert list(app.data_editor[0].value["depths"]) == [2, 2, 2, 2], "the grid shows what is true"
    button(app, "redo").click().run()
    assert link(app)["k.depths"] == "2,2,5,2"
    assert list(app.data_editor[0].value["depths"]) == [2, 2, 5, 2]
    assert button(app, "redo").disabled


def test_a_random_network_has_its_seed_in_the_link_and_a_fresh_page_shows_the_same() -> None:
    app = open_app(preset="resnet_mini", panel="changes")
    button(app, "random").click().run()
    assert not errors(app)
    told = link(app)
    assert told["drawn"] == "0"
    assert any("seed 0" in element.value for element in app.markdown)
    again = open_app(**told)
    assert link(again) == told
    assert any("seed 0" in element.value for element in again.markdown)
    button(again, "random").click().run()
    assert link(again)["drawn"] == "1"
    assert link(again) != told


def test_a_seed_is_not_told_of_a_network_that_it_did_not_give() -> None:
    app = open_app(preset="resnet_mini", panel="changes", drawn="3", k__dropout="0.5")
    assert not errors(app)
    assert not any("seed 3" in element.value for element in app.markdown)


def test_each_change_is_listed_with_its_way_back() -> None:
    app = open_app(preset="resnet18", panel="changes", k__depths="2,5,2,3", k__norm="group")
    shown = [element.value for element in app.markdown if "→" in element.value]
    assert shown == ["depths\\[1\\]: 2 → **5**", "depths\\[3\\]: 2 → **3**", "norm: batch → **group**"]
    button(app, "reset change depths[1]").click().run()
    assert link(app)["k.depths"] == "2,2,2,3"
    button(app, "reset all changes").click().run()
    assert not [name for name in link(app) if name.startswith("k.")]
    assert any("Nothing differs from resnet18" in element.value for element in app.caption)
    button(app, "undo").click().run()
    assert link(app)["k.depths"] == "2,2,2,3"


def test_differences_are_single_values_or_whole_tuples_of_another_length() -> None:
    before = {"depths": (1, 2), "stages": ({"width": 1}, {"width": 2}), "act": "relu", "fc": ()}
    after = {"depths": (1, 3), "stages": ({"width": 9}, {"width": 2}), "act": "relu", "fc": (4,)}
    found = differences(before, after)
    assert [written(path) for path in found] == ["depths[1]", "stages[0].width", "fc"]
    assert differences(after, after) == []


def test_every_preset_of_a_family_differs_from_the_next_in_something() -> None:
    specs = [preset.spec.model_dump() for preset in models.architectures()[0].presets.values()]
    assert all(differences(one, two) for one, two in zip(specs, specs[1:], strict=False))


def made_by(app: AppTest) -> dict[str, Any]:
    """The controls of the knobs that made the chosen layer, by label, once they are known."""
    for _ in range(40):
        found = {element.label: element for element in (*app.number_input, *app.slider, *app.selectbox)}
        if "Widths" in found:
            return found
        app.run()
    raise AssertionError("the knobs of the layer did not come")


def test_a_layer_leads_to_the_entries_of_its_stage_which_change_the_network_there() -> None:
    app = open_app(preset="resnet18", layer="layer2.0.conv1", made_by="1", k__depths="2,2,5,2")
    found = made_by(app)
    titles = [element.value for element in app.markdown if element.value.startswith(":small[**")]
    assert titles == [":small[**Stage 1**]", ":small[**Stage 2**]", ":small[**Whole network**]"]
    assert "Stem kernel (px)" not in found
    found["Strides"].set_value(1).run()
    assert link(app)["k.strides"] == "1,1,2,2"
    assert made_by(app)["Strides"].value == 1, "they stay while the changed network is asked"
    assert not errors(app)


def test_the_rows_of_the_stages_that_made_a_layer_are_marked_in_the_table() -> None:
    app = open_app(preset="resnet18", panel="knobs", layer="layer2.0.conv1", made_by="1")
    for _ in range(40):
        marks = list(app.data_editor[0].value["#"])
        if marks != ["1", "2", "3", "4"]:
            break
        app.run()
    assert marks == ["1 ●", "2 ●", "3", "4"]
    edit_cell(app, 2, "depths", 5)
    assert link(app)["k.depths"] == "2,2,5,2"
    app.toggle(key="widget:made_by").set_value(False).run()
    assert list(app.data_editor[0].value["#"]) == ["1", "2", "3", "4"]
    assert list(app.data_editor[0].value["depths"]) == [2, 2, 5, 2], "an edit outlasts the marks"
