"""The Atlas page: the sheet of a layer from what is shipped, a unit by its address, a scan of another network."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explorer.atlas.patches import Patch
from explorer.atlas.shipped import shipped
from tests.support.page import errors, link, open_trained

WAIT_S = 60
KINDS = ("scan", "atlas sheet", "atlas nine")


def open_atlas(**asked: str) -> AppTest:
    """The page with all of its work done."""
    return settled(open_trained(view="atlas", **asked))


def settled(app: AppTest) -> AppTest:
    for kind in KINDS:
        if kind in app.session_state["jobs"]:
            assert app.session_state["jobs"][kind].wait(WAIT_S)
            app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption, *app.subheader))


def sheet(app: AppTest) -> dict[int, tuple[Patch, ...]]:
    return dict(app.session_state["jobs"]["atlas sheet"].result)


def test_a_layer_is_a_sheet_of_its_units_each_with_its_nine() -> None:
    app = open_atlas()
    assert not errors(app)
    top, units = shipped("zfnet_mini").of("features.2"), sheet(app)
    assert list(units) == list(range(24))
    for channel, patches in units.items():
        assert [patch.picture for patch in patches] == top.pictures[channel].tolist()
        assert {patch.pixels.shape[2] for patch in patches} == {3}
    assert "nine of 2,000 unseen pictures" in said(app)


def test_a_page_of_a_wide_layer_has_64_units_and_the_next_the_rest() -> None:
    app = open_atlas(layer="features.10")
    assert list(sheet(app)) == list(range(64))
    settled(app.number_input(key="widget:atlas page").set_value(2).run())
    assert list(sheet(app)) == list(range(64, 80))
    assert link(app)["atlas_page"] == "2"


def test_a_unit_of_the_link_is_shown_with_projections() -> None:
    app = open_atlas(layer="features.10", channel="3")
    patches: tuple[Patch, ...] = app.session_state["jobs"]["atlas nine"].result
    assert len(patches) == 9
    assert len({patch.picture for patch in patches}) == 9
    for patch in patches:
        assert patch.projection is not None
        assert patch.projection.shape == patch.pixels.shape
    assert f"{patches[0].name}: activation {patches[0].value:.4g}" in said(app)
    app.button(key="atlas all units").click().run()
    assert "channel" not in link(app)


@pytest.mark.parametrize("layer", ["classifier.6", "flatten", "input"])
def test_every_layer_of_a_link_is_shown_or_refused_in_a_sentence(layer: str) -> None:
    app = open_atlas(layer=layer)
    assert len(errors(app)) == (layer == "input")


def test_another_network_is_scanned_when_asked() -> None:
    app = open_trained(preset="squeezenet_mini", view="atlas", scanned="200")
    assert "is not known of this network yet" in said(app)
    app.button(key="atlas scan").click().run()
    assert list(sheet(settled(app)))
    assert "nine of 200 unseen pictures" in said(app)


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    app = open_atlas(scanned="3", atlas_shown="both", channel="999", layer="features.2")
    assert len(app.warning) == 3
    assert not app.exception
