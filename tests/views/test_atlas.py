"""The Atlas page: the sheet of a layer from what is shipped, a unit by its address, a scan of another network."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.optimised_image import OptimisedImage
from explorer.atlas.patches import Patch
from explorer.atlas.picture_sets import UnseenPictures
from explorer.atlas.shipped import shipped
from tests.support.page import errors, link, open_trained

WAIT_S = 60
KINDS = ("scan", "atlas parts", "atlas sheet", "atlas nine", "atlas optimised", "maps", "atlas feeders")


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


def plain(text: str) -> str:
    """Without what keeps Markdown from reading a name as its own."""
    return text.replace("\\", "").replace("\u2060", "")


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


def test_a_unit_has_an_image_made_for_it_a_map_and_the_units_that_feed_it() -> None:
    app = open_atlas(layer="features.6", channel="3", image_seed="5")
    made: OptimisedImage = app.session_state["jobs"]["atlas optimised"].result
    assert (made.layer, made.channel, made.seed) == ("features.6", 3, 5)
    assert f"{made.before:.3g} → {made.after:.3g}" in said(app)
    assert "Channels of features.3, and what each adds" in plain(said(app))
    assert app.session_state["jobs"]["maps"].result.maps.layer == "features.6"


def test_a_unit_with_one_value_shows_it_without_a_map() -> None:
    app = open_atlas(layer="classifier.6", channel="3")
    maps = app.session_state["jobs"]["maps"].result.maps
    assert [figure.value for figure in app.metric if figure.label == "Activation"] == [f"{maps.maps[3].item():.4g}"]
    assert "One value for the whole picture" in said(app)


def test_a_unit_that_reads_the_image_shows_its_filter() -> None:
    app = open_atlas(layer="features.2", channel="3")
    assert "Its filter" in [heading.value for heading in app.subheader]
    assert not errors(app)


def test_a_unit_behind_a_join_says_that_no_one_layer_feeds_it() -> None:
    app = settled(open_trained(preset="resnet_mini", view="atlas", layer="layer1.0.act2", channel="0"))
    assert "joins several branches" in said(app)
    assert not errors(app)
    settled(app.button(key="atlas branch layer1.0.bn2").click().run())
    assert link(app) | {"layer": "layer1.0.bn2", "channel": "0"} == link(app)


def test_a_unit_leads_to_how_its_layer_grew() -> None:
    app = open_atlas(layer="features.6", channel="3")
    app.button(key="atlas grown").click().run()
    assert link(app) | {"view": "paper", "figure": "evolution", "grown_layer": "2"} == link(app)
    assert not app.exception


def test_units_are_ordered_by_the_class_or_part_that_they_prefer() -> None:
    app = open_atlas(layer="features.16", prefers="class:clock")
    top, order = shipped("zfnet_mini").of("features.16"), list(sheet(app))
    clocks = [sum(UnseenPictures().label(int(number)) == "clock" for number in top.pictures[unit]) for unit in order]
    assert clocks == sorted(clocks, reverse=True)
    assert clocks[0] == 9
    settled(app.selectbox(key="widget:prefers").set_value("part:bells").run())
    assert list(sheet(app)) != order
    assert link(app)["prefers"] == "part:bells"


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


def test_another_picture_at_hand_starts_no_work_of_the_atlas_again() -> None:
    app = open_trained(preset="squeezenet_mini", view="atlas", scanned="200")
    settled(app.button(key="atlas scan").click().run())
    before = {kind: app.session_state["jobs"][kind] for kind in ("scan", "atlas sheet")}
    app.session_state["state"] = {**app.session_state["state"], "image": "boat"}
    app.run()
    assert {kind: app.session_state["jobs"][kind] for kind in before} == before


def test_what_a_link_names_beyond_what_there_is_is_said() -> None:
    app = open_trained(view="atlas", layer="features.10", atlas_page="3")
    assert "atlas_page='3' is beyond the last page, 2, of this layer; the first is shown" in warned(app)
    app = open_trained(view="atlas", channel="3")
    assert "channel='3' is of no layer, as the link names none" in warned(app)


def warned(app: AppTest) -> str:
    return plain("\n".join(element.value for element in app.warning))


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    app = open_atlas(scanned="3", atlas_shown="both", prefers="part:nosuch", channel="999", layer="features.2")
    assert len(app.warning) == 4
    assert not app.exception


def test_pictures_come_to_the_network_as_a_person_chose() -> None:
    app = open_trained(view="atlas", layer="features.2", mean="0", std="1", scanned="200")
    assert "is not known of this network yet" in said(app), "the shipped scan is of pictures prepared otherwise"
    settled(app.button(key="atlas scan").click().run())
    (scan,) = app.session_state["scans"].values()
    assert "values from 0 to 1" in scan.subject.preprocessing
