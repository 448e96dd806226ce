"""What the workbench is for, from one group of a graph to a comparison: once by keyboard alone, once on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driver import watched_page
from tests.browser.hands import Finger, Hands, Keyboard
from tests.browser.test_workbench import figures

PATIENCE_MS = 90_000


@pytest.fixture(params=[Keyboard, Finger], ids=["keyboard", "phone"])
def hands(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Hands]:
    is_phone = request.param is Finger
    with watched_page(browser, *((390, 844) if is_phone else (1440, 900)), touch=is_phone) as page:
        yield request.param(page)


def test_a_group_is_opened_a_layer_found_and_its_maps_field_and_knobs_seen(server: str, hands: Hands) -> None:
    page = hands.page
    hands.open(f"{server}/?preset=resnet50&weights=random")
    hands.act_on(hands.box("Bottleneck 0"))
    expect(hands.box("layer1.0.conv2: conv 3×3")).to_be_attached()
    hands.colour_by("MACs")
    expect(hands.box("conv1: conv 7×7").locator(".quiet")).to_have_text("118 M")
    hands.search("layer3.4.conv2")
    hands.act_on(hands.box("layer3.4.conv2: conv 3×3"))
    page.wait_for_url(re.compile(r"layer=layer3\.4\.conv2"))
    expect(page.get_by_role("button", name="All 256 maps")).to_be_visible(timeout=PATIENCE_MS)
    hands.turn_to("Field")
    expect(page.get_by_text(re.compile("of 14 × 14 can see"))).to_be_visible(timeout=PATIENCE_MS)
    hands.turn_to("Knobs")
    hands.switch_on("Knobs that made layer3.4.conv2")
    expect(page.get_by_text(re.compile("depths.*are among them"))).to_be_visible(timeout=PATIENCE_MS)


def test_a_stage_is_edited_in_the_table_and_the_edit_undone(server: str, hands: Hands) -> None:
    hands.open(f"{server}/?preset=resnet50&weights=random&panel=knobs")
    before, graph = figures(hands.page), hands.boxes.all_text_contents()
    hands.edit("Depths", 3, "4")
    expect(hands.page).to_have_url(re.compile("k.depths=3%2C4%2C4%2C3"))
    hands.rest()
    for metric in hands.page.get_by_test_id("stMetric").all():
        expect(metric).to_be_in_viewport(ratio=1)  # a change and its effect are on one screen
    assert all(a != b for a, b in zip(before, figures(hands.page), strict=True))
    assert "× 5" in "".join(graph)
    expect(hands.boxes.filter(has_text="× 5")).to_have_count(0)
    hands.undo()
    hands.page.wait_for_url(lambda url: "k.depths" not in url)
    hands.rest()
    assert figures(hands.page) == before
    expect(hands.boxes).to_have_text(graph)


def test_a_swapped_activation_keeps_what_was_trained(server: str, hands: Hands) -> None:
    hands.open(f"{server}/?preset=zfnet_mini&panel=knobs")
    hands.unfold("Layers")
    hands.choose("Activation", "silu")
    hands.turn_to("Layer")
    told = hands.page.get_by_test_id("stMain").get_by_text("Trained here kept, whole.")
    expect(told).to_be_visible(timeout=PATIENCE_MS)


def test_a_lineage_is_stepped(server: str, hands: Hands) -> None:
    hands.open(f"{server}/?preset=alexnet_2012&panel=lineage&lineage=zfnet")
    hands.press("Next step")
    expect(hands.page.get_by_text("step 1 of 5")).to_be_visible(timeout=PATIENCE_MS)
    expect(hands.page).to_have_url(re.compile("k.groups=1%2C1%2C1%2C1%2C1"))


def test_a_pinned_network_is_changed_compared_and_sent_as_a_link(server: str, hands: Hands, browser: Browser) -> None:
    page = hands.page
    hands.open(f"{server}/?preset=resnet50&weights=random")
    hands.press("Pin")
    hands.choose("Architecture", "2017 · ResNeXt")
    hands.turn_to("Compare")
    said = "B: 32 changed, 80 follow, 64 the same"
    expect(page.get_by_text(said)).to_be_visible(timeout=PATIENCE_MS)
    marked = page.locator("svg.canvas .box.m-changed")
    expect(marked).not_to_have_count(0, timeout=PATIENCE_MS)
    labels = [box.get_attribute("aria-label") or "" for box in marked.all()]
    assert all(label.startswith("Bottleneck") for label in labels)
    with watched_page(browser, 1440, 900) as fresh:
        fresh.goto(page.url)
        expect(fresh.get_by_text(said)).to_be_visible(timeout=PATIENCE_MS)
        expect(fresh.locator("svg.canvas .box.m-changed")).to_have_count(len(labels), timeout=PATIENCE_MS)
        expect(fresh.locator("svg.canvas .box")).to_have_text(hands.boxes.all_text_contents())
