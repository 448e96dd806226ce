"""Lineages in the workbench: the steps with their figures, and the way from one to the next, back and by the link."""

from __future__ import annotations

import time

import pytest
from streamlit.testing.v1 import AppTest

from explorer.networks import catalog
from explorer.networks.lineage import LINEAGES
from explorer.ui.session import analysis_of
from explorer.views.workbench.lineage import figures_text
from tests.support.page import errors, link, open_app


def settled(app: AppTest) -> AppTest:
    end = time.monotonic() + 60
    while any(button.label == "Stop" for button in app.button):
        assert time.monotonic() < end, "the analyses take too long"
        time.sleep(0.3)
        app.run()
    return app


def click(app: AppTest, key: str) -> AppTest:
    return settled(app.button(key=key).click().run())


@pytest.mark.parametrize("name", LINEAGES)
def test_every_lineage_is_walked_from_its_first_step_to_its_last(name: str) -> None:
    app = settled(open_app(preset="lenet5", panel="lineage", lineage=name))
    assert not errors(app)
    steps = LINEAGES[name].steps
    for number, step in enumerate(steps):
        app = click(app, "lineage on")
        assert not errors(app)
        assert link(app)["preset"] == step.preset
        assert any(f"step {number} of {len(steps) - 1}" in text.value for text in app.markdown)
    assert app.button(key="lineage on").disabled
    assert not [knob for knob in link(app) if knob.startswith("k.")]
    assert len(app.session_state["history"].past) == len(steps)


def test_a_step_is_taken_from_the_list_and_is_in_the_link() -> None:
    app = click(settled(open_app(preset="resnet50", panel="lineage")), "take 2")
    assert {"k.stem_kernel": "4", "k.stem_stride": "4", "k.depths": "3,3,9,3"}.items() <= link(app).items()
    again = settled(open_app(**link(app)))
    assert any("step 2 of 13" in text.value for text in again.markdown)


def test_figures_stand_with_their_change() -> None:
    steps = LINEAGES["convnext"].steps
    before, now = (analysis_of(catalog.of_spec("resnet50", steps[number].spec)) for number in (0, 1))
    assert figures_text(before, None) == ":small[25.6 M parameters] · :small[4.1 G MACs] · :small[427 px field]"
    assert figures_text(now, before) == (
        ":small[28.6 M parameters **+12.0 %**] · :small[4.5 G MACs **+10.7 %**] · :small[507 px field **+80**]"
    )
