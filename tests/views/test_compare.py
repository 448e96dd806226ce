"""The Compare view: what stands beside what, and the layers that differ."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.page import errors, link, open_app


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption))


def figures(app: AppTest, column: int) -> dict[str, tuple[str, str]]:
    found: Any = app.table[column].value
    return {row["Figure"]: (row["Value"], row["Difference"]) for _, row in found.iterrows()}


def test_one_network_alone_asks_for_another() -> None:
    app = open_app(view="compare", preset="resnet18")
    assert len(app.table) == 1
    assert "choose a preset" in app.info[0].value
    app.selectbox(key="widget:compare preset").set_value("resnet34").run()
    assert link(app)["pin1"] == "resnet34"
    assert len(app.table) == 2
    assert not app.info
    assert not errors(app)


def test_an_edited_network_stands_beside_its_preset() -> None:
    app = open_app(view="compare", preset="resnet50", k__depths="3,4,7,3")
    assert "B · resnet50, edited: 10 added, 176 the same" in texts(app)
    assert figures(app, 0)["Depth"] == ("50", "")
    assert figures(app, 1)["Depth"][1].replace("\u00a0", " ") == "+3"


def test_a_pinned_network_that_is_edited_now_stands_there_once() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="resnet34", pin2="resnet18")
    assert len(app.table) == 2
    assert not [button for button in app.button if button.key == "pin"]


def test_the_rows_are_those_that_differ_or_all() -> None:
    app = open_app(view="compare", preset="resnext50_32x4d", pin1="resnet50", part="table")
    found: Any = app.dataframe[0].value
    assert len(found) == 32
    assert set(found["fate"]) == {"changed"}
    assert "32 changed, 80 follow, 64 the same" in texts(app)
    app.segmented_control(key="widget:rows").set_value("all").run()
    assert len(app.dataframe[0].value) == 176
    assert not errors(app)


def test_each_other_network_can_be_set_beside_the_reference() -> None:
    app = open_app(view="compare", preset="resnext50_32x4d", pin1="resnet50", pin2="se_resnet50", part="table")
    assert "96 added" in texts(app)
    app.segmented_control(key="widget:beside").set_value(3).run()
    assert "32 changed" in texts(app)
    assert link(app)["beside"] == "3"


@pytest.mark.parametrize("part", ["graphs", "table", "growth", "costs"])
def test_every_part_is_drawn_of_four_networks(part: str) -> None:
    app = open_app(view="compare", preset="lenet5", pin1="zfnet_mini", pin2="vit_mini", pin3="resnet18", part=part)
    assert len(app.table) == 4
    assert not errors(app)
    assert not app.warning


def test_names_are_shown_as_text() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="resnet18!n=![x](//evil.example/p.png)!k.norm=none")
    assert "![x]" not in texts(app)
    assert not errors(app)
