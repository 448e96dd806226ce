"""The workbench in a browser: it opens whole, its knobs change it, its link and the Back button restore it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import wait_until_idle
from tests.browser.grid import cell, edit_cell


def metric(page: Page, label: str) -> str:
    box = page.get_by_test_id("stMetric").filter(has_text=label)
    return box.get_by_test_id("stMetricValue").inner_text()


def figures(page: Page) -> list[str]:
    return [metric(page, label) for label in ("Parameters", "MACs", "Receptive field")]


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    wait_until_idle(page, 60)
    return page


def drawn(page: Page) -> Locator:
    """The boxes of the graph."""
    return page.locator("g.box")


def choose(page: Page, label: str, text: str) -> None:
    """Search a selectbox and take the first match, as a person types it."""
    box = page.get_by_test_id("stSelectbox").filter(has_text=label).locator("input")
    box.click()
    box.fill(text)
    box.press("Enter")
    wait_until_idle(page, 60)


def test_everything_is_on_screen(server: str, page: Page) -> None:
    opened(page, server)
    expect(page.get_by_test_id("stMetric")).to_have_count(3, timeout=60_000)
    expect(drawn(page)).not_to_have_count(0, timeout=60_000)
    expect(page.get_by_test_id("stSidebar").get_by_test_id("stImage")).to_be_visible()


def test_vgg_is_found_by_typing_and_a_depth_changes_graph_counts_and_field(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=zfnet_mini&panel=knobs")
    choose(page, "Architecture", "vgg")
    expect(page.get_by_role("heading", name="VGG")).to_be_visible()
    before = figures(page)
    graph = drawn(page).all_text_contents()
    edit_cell(page, "Depths", 5, "4")
    page.wait_for_url(re.compile("k.depths=1%2C1%2C2%2C2%2C4"))
    wait_until_idle(page)
    assert all(a != b for a, b in zip(before, figures(page), strict=True))
    expect(drawn(page)).not_to_have_text(graph)
    page.go_back()
    page.wait_for_url(lambda url: "k.depths" not in url)
    wait_until_idle(page)
    assert cell(page, "Depths", 5) == "2"
    assert figures(page) == before


def test_a_copied_link_opens_the_same_view(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=resnet18&k.widths=32,64,128,256&panel=field&layer=layer2.0.conv1&row=0&column=0")
    caption = page.get_by_text(re.compile(r"^Row 0, column 0 of 28 × 28 can see"))
    expect(caption).to_be_visible()
    url, told, shown = page.url, caption.inner_text(), metric(page, "Parameters")
    opened(page, url)
    assert (page.url, caption.inner_text(), metric(page, "Parameters")) == (url, told, shown)


def test_knobs_that_make_no_network_say_why_and_can_be_reset(server: str, page: Page) -> None:
    opened(page, f"{server}/?panel=knobs&preset=zfnet&k.groups=1,4,1,1,1&k.widths=96,254,384,384,256")
    error = page.get_by_test_id("stAlert").filter(has_text="widths")
    expect(error).to_contain_text("groups")
    expect(page.get_by_text("up to features.4")).to_be_visible()
    page.get_by_role("button", name="Reset all").click()
    wait_until_idle(page)
    expect(error).to_have_count(0)


@pytest.mark.parametrize("panel", ["knobs", "field", "costs", "receipt", "layers"])
def test_no_panel_scrolls_the_page_sideways_on_a_phone(server: str, phone_page: Page, panel: str) -> None:
    opened(phone_page, f"{server}/?preset=zfnet_mini&panel={panel}")
    extra = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert phone_page.evaluate(extra) == 0


def test_the_buttons_stand_in_one_row_on_a_phone(server: str, phone_page: Page) -> None:
    opened(phone_page, f"{server}/?preset=resnet50&weights=random")
    places = [
        phone_page.get_by_role("button", name=name).first.bounding_box() for name in ("Undo", "Redo", "Random", "Pin")
    ]
    assert len({place["y"] for place in places if place}) == 1


def test_the_graph_stays_beside_a_panel_that_is_longer_than_the_window(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=resnet_mini")
    expect(page.get_by_text("All 96 maps")).to_be_attached(timeout=60_000)
    box = drawn(page).first
    before = box.bounding_box()
    page.mouse.move(1200, 700)  # over the panel
    page.mouse.wheel(0, 700)
    expect(page.get_by_text("All 96 maps")).to_be_in_viewport()
    after = box.bounding_box()
    assert before
    assert after
    assert 60 < after["y"] < before["y"], "below the page's header"
    expect(box).to_be_in_viewport()
