"""The page of the paper's figures: its switch, and what each panel shows."""

from __future__ import annotations

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from explorer.views.zeiler_fergus.page import PAPER_PANELS
from tests.support.page import errors, link, open_trained


def opened(figure: str, **choices: str) -> AppTest:
    """A panel after all its jobs."""
    app = open_trained(view="paper", figure=figure, **choices)
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
    switch = app.segmented_control(key="widget:figure")
    assert list(switch.options) == [panel.title for panel in PAPER_PANELS.values()]
    assert all(panel.figure.split()[0] in ("figure", "table") for panel in PAPER_PANELS.values())


def test_first_layer_filters_stand_beside_alexnets() -> None:
    app = opened("first_layer")
    assert not errors(app)
    assert "7×7, stride 2" in said(app)
    assert "11×11, stride 4" in said(app)
    assert [len(tiles(app, number)) for number in (0, 1)] == [24, 32]
    app.selectbox(key="widget:beside").set_value("lenet_mini").run()
    assert link(app)["beside"] == "lenet_mini"


def test_a_network_without_first_layer_filters_is_told_of() -> None:
    app = opened("first_layer", beside="nonsense")
    assert any("beside='nonsense' is not one of" in warning.value for warning in app.warning)
