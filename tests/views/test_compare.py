"""The Compare view: what stands beside what, and the layers that differ."""

from __future__ import annotations

import time
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.analysis.alignment import align
from explorer.analysis.depth import depth
from explorer.analysis.latency import Latency
from explorer.networks import catalog
from explorer.networks.catalog import structure
from explorer.ui import timing
from explorer.ui.markdown import markdown_safe
from explorer.views.compare import graphs, pairs
from tests.support.page import errors, link, open_app


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption))


def figures(app: AppTest, column: str) -> list[str]:
    """One figure of each network, as the table says it."""
    found: Any = app.table[0].value
    return [text.replace("\u00a0", " ") for text in found[column]]


def test_one_network_alone_asks_for_another() -> None:
    app = open_app(view="compare", preset="resnet18")
    assert len(figures(app, "MACs")) == 1
    assert "choose a preset" in app.info[0].value
    app.selectbox(key="widget:compare preset").set_value("resnet34").run()
    assert link(app)["pin1"] == "resnet34"
    assert len(figures(app, "MACs")) == 2
    assert not app.info
    assert not errors(app)


def test_an_edited_network_stands_beside_its_preset() -> None:
    app = open_app(view="compare", preset="resnet50", k__depths="3,4,7,3")
    assert "B: 10 added, 176 the same" in texts(app)
    assert figures(app, "Depth") == ["50", "53 :small[:gray[+3]]"]
    assert figures(app, "Receptive field")[0] == "427 px"


def test_a_pinned_network_that_is_edited_now_stands_there_once() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="resnet34", pin2="resnet18")
    assert len(figures(app, "MACs")) == 2
    assert not [button for button in app.button if button.key == "pin"]


def test_the_reference_is_marked_beside_all_others() -> None:
    """One other has a block less, the other a stem of another width."""
    specs = (
        models.spec("resnet18"),
        models.spec("resnet18", depths=(1, 2, 2, 2)),
        models.spec("resnet18", stem_width=32),
    )
    reference, shallow, narrow = (structure(spec, (3, 224, 224)).graph for spec in specs)
    gone, changed = align(reference, shallow).marks("left"), align(reference, narrow).marks("left")
    assert set(gone.values()) == {"removed"}
    assert changed["conv1"] == "changed"
    assert graphs._together([gone, changed]) == {**gone, **changed}
    assert graphs._together([{"a": "removed"}, {"a": "changed"}]) == {"a": "changed"}


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
    assert len(figures(app, "MACs")) == 4
    assert not errors(app)
    assert not app.warning


def test_names_are_shown_as_text() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="resnet18!n=![x](//evil.example/p.png)!k.norm=none")
    assert "![x]" not in texts(app)
    assert not errors(app)


def settle(app: AppTest, ready: Any) -> AppTest:
    """Rerun until what runs beside the page has ended."""
    for _ in range(60):
        if ready(app):
            return app
        time.sleep(0.5)
        app.run()
    raise AssertionError(f"not ready: {errors(app)} {texts(app)}")


def bars(app: AppTest) -> list[Any]:
    return [chart for chart in app.get("plotly_chart") if "prediction" in chart.proto.id]


def test_the_picture_is_run_through_each_network_and_corresponding_layers_are_shown() -> None:
    link_of_here = {"view": "compare", "preset": "zfnet_mini", "pin1": "alexnet_mini", "part": "pictures"}
    app = settle(open_app(**link_of_here), lambda app: len(bars(app)) == 2)
    assert not errors(app)
    choice = app.selectbox(key="widget:compared layer")
    left = models.spec("alexnet_mini"), models.spec("zfnet_mini")
    graphs = [catalog.structure(spec, (spec.in_channels, spec.image_size, spec.image_size)).graph for spec in left]
    pairs = align(*graphs).right_of
    layer = next(name for name in pairs if graphs[0][name].kind == "conv")
    assert layer in choice.options
    choice.set_value(layer).run()
    settle(app, lambda app: len(bars(app)) == 2)
    shown = [element.value for element in app.markdown if "channels]" in element.value]
    assert [text.split(" · ")[1] for text in shown] == [
        markdown_safe(layer), markdown_safe(pairs[layer])
    ]  # fmt: skip
    assert link(app)["layer"] == pairs[layer], "it is the chosen layer of the edited network in all views"


def test_occlusion_maps_stand_side_by_side_for_the_references_class() -> None:
    app = settle(
        open_app(view="compare", preset="zfnet_mini", pin1="vgg_mini", part="occlusion"),
        lambda app: "without a square" in texts(app),
    )
    said = [element.value for element in app.caption if "without a square" in element.value]
    assert len(said) == 2
    assert len({text.split(":")[0] for text in said}) == 1
    assert not errors(app)


def test_a_network_whose_weights_are_not_here_says_so_in_its_column() -> None:
    app = open_app(view="compare", preset="zfnet_mini", pin1="resnet18!w=IMAGENET1K_V1", part="pictures")
    settle(app, lambda app: bool(errors(app)) and len(bars(app)) == 1)
    assert "download" in errors(app)[0]


def test_latency_is_measured_of_each_network_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((0.004, 0.010))

    def quick(*args: Any, **options: Any) -> Latency:
        median = next(seconds)
        return Latency(1, "cpu", 9, median, median, median)

    monkeypatch.setattr(timing.latency, "measure", quick)
    app = open_app(view="compare", preset="zfnet_mini", pin1="alexnet_mini", part="measured")
    assert list(app.table[1].value["Latency"]) == ["–", "–"]
    assert list(app.table[1].value["Peak memory, measured"]) == ["–", "–"]
    next(button for button in app.button if button.label == "Measure latency").click().run()
    settle(app, lambda app: "–" not in list(app.table[1].value["Latency"]))
    told = [text.replace("\u00a0", " ") for text in app.table[1].value["Latency"]]
    assert told == ["4.00 ± 0.00 ms", "10.0 ± 0.0 ms :small[:gray[2.50×]]"]
    computed, measured = (list(app.table[1].value[f"Peak memory, {how}"]) for how in ("computed", "measured"))
    assert all("kB" in text for text in measured)
    assert all(one != other for one, other in zip(computed, measured, strict=True))
    assert link(app)["timed"] == "1"
    assert not errors(app)


@pytest.mark.parametrize("pair", pairs.PAIRS, ids=lambda pair: pair.changed)
def test_a_pair_opens_both_networks_the_reference_first(pair: pairs.ReadyPair) -> None:
    app = open_app(view="compare", preset="resnet18")
    app.button(key=f"pair {pair.reference} {pair.changed}").click().run()
    assert (link(app)["pin1"], link(app)["preset"]) == (pair.reference, pair.changed)
    assert len(figures(app, "MACs")) == 2
    assert not errors(app)


def test_twice_as_wide_in_groups_is_no_more_weights_and_vgg_holds_most() -> None:
    """What the questions of the pairs take for granted."""
    names = ("resnet50", "resnext50_32x4d", "vgg16")
    params = {name: catalog.find(name).analysis().params for name in names}
    assert params["resnext50_32x4d"] <= params["resnet50"] < params["vgg16"]
    deep = {name: depth(catalog.find(name).analysis().graph) for name in ("vgg16", "resnet50")}
    assert deep["resnet50"] >= 3 * deep["vgg16"]
