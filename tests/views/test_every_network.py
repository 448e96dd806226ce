"""Every architecture can be looked at: its smallest preset opens in the views and panels that show a network."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.views import discover
from explorer.views.workbench.page import PANELS
from tests.support.places import APP

SMALLEST = [min(one.presets, key=lambda name: not one.presets[name].compact) for one in models.architectures()]
# These compute with the network, or have rules for each kind of layer; the other panels take turns.
ALWAYS = [
    {"view": "workbench", "panel": "field"},
    {"view": "maps"},
    {"view": "occlusion", "window": "48"},
    {"view": "deconvnet"},
]
IN_TURN = [
    {"view": "compare"},
    {"view": "attribution", "methods": "gradcam,deconvnet"},
    {"view": "atlas"},
    {"view": "paper", "paper_figure": "occlusion"},
    *({"view": "workbench", "panel": name} for name in PANELS if name != "field"),
]
CASES = [
    pytest.param(preset, page, id=f"{preset}-{page.get('panel', page['view'])}")
    for place, preset in enumerate(SMALLEST)
    for page in (*ALWAYS, IN_TURN[place % len(IN_TURN)])
]


def test_these_are_all_views_of_a_network_and_all_panels() -> None:
    opened = {(page["view"], page.get("panel")) for page in (*ALWAYS, *IN_TURN)}
    wanted = {(view.name, None) for view in discover().values() if view.of_network and view.name != "workbench"}
    assert opened | {("contest", None)} == wanted | {("workbench", panel) for panel in PANELS}


@pytest.mark.parametrize(("preset", "page"), CASES)
def test_opens_without_an_error(preset: str, page: dict[str, str]) -> None:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params.update({"preset": preset, "stride": "64", "weights": "random", **page})
    app.run()
    assert not app.exception
    assert not app.error
    assert not app.warning
    for job in app.session_state["jobs"].values() if "jobs" in app.session_state else ():
        assert job.wait(30)
        assert not job.error
