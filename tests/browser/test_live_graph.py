"""The graph carries the page: a click shows what a layer is, sees and was made by; edits are undone by keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import wait_until_idle, watched_page
from tests.browser.grid import cell, edit_cell
from tests.browser.test_workbench import drawn, figures, opened


def panel(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    wait_until_idle(page, 60)


def test_a_click_on_a_layer_shows_its_maps_its_field_and_the_way_to_its_knobs(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=zfnet_mini")
    drawn(page).filter(has_text="conv 5×5").click()
    expect(page.get_by_role("button", name="All 48 maps")).to_be_visible(timeout=60_000)
    wait_until_idle(page, 60)
    expect(page).to_have_url(re.compile(r"layer=features\.\d"))
    layer = page.url.partition("layer=")[2].partition("&")[0]
    expect(page.get_by_text("48 × 16 × 16").first).to_be_visible()
    panel(page, "Field")
    expect(page.get_by_text(re.compile(r"of 16 × 16 can see"))).to_be_visible()
    panel(page, "Knobs")
    expect(page.get_by_text(f"Knobs that made {layer}")).to_be_visible()


def test_an_edit_of_a_stage_changes_the_graph_and_is_undone_and_redone_by_keyboard(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=vgg_mini&panel=knobs")
    before, was = figures(page), cell(page, "Depths", 3)
    edit_cell(page, "Depths", 3, "3")
    page.wait_for_url(re.compile("k.depths="))
    wait_until_idle(page)
    after = figures(page)
    assert after != before
    page.get_by_role("heading", level=1).click()  # the grid has keys of its own
    page.keyboard.press("Control+z")
    page.wait_for_url(lambda url: "k.depths" not in url)
    wait_until_idle(page)
    assert (figures(page), cell(page, "Depths", 3)) == (before, was)
    page.keyboard.press("Control+Shift+Z")
    page.wait_for_url(re.compile("k.depths="))
    wait_until_idle(page)
    assert figures(page) == after


def test_the_focus_stays_in_the_table_of_stages_when_an_edit_is_undone(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=vgg_mini&panel=knobs")
    was, table = cell(page, "Depths", 3), page.get_by_test_id("data-grid-canvas").first
    edit_cell(page, "Depths", 3, "3")
    page.wait_for_url(re.compile("k.depths="))
    wait_until_idle(page)
    page.keyboard.press("Control+z")
    page.wait_for_url(lambda url: "k.depths" not in url)
    expect(table).to_be_focused()
    assert cell(page, "Depths", 3) == was
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("Control+Shift+Z")
    page.wait_for_url(re.compile("k.depths="))
    wait_until_idle(page)
    expect(table).not_to_be_focused()  # where a person is not, it does not go


def test_a_link_opens_the_same_layer_and_fold_in_a_fresh_browser(server: str, page: Page, browser: Browser) -> None:
    opened(page, f"{server}/?preset=resnet18&weights=random")
    drawn(page).filter(has_text="conv 7×7").click()
    page.wait_for_url(re.compile("layer="))
    drawn(page).filter(has_text="BasicBlock").first.locator(".chevron").click()
    page.wait_for_url(re.compile("fold="))
    wait_until_idle(page, 60)
    boxes, url = drawn(page).all_text_contents(), page.url
    with watched_page(browser, 1440, 900) as fresh:
        opened(fresh, url)
        expect(drawn(fresh)).to_have_count(len(boxes), timeout=60_000)
        assert drawn(fresh).all_text_contents() == boxes
        expect(fresh.locator("svg.canvas .chosen")).to_contain_text("conv 7×7")


def test_a_fold_of_another_network_in_the_link_is_one_sentence_that_goes_away(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=resnet18&weights=random&fold=abcde.BC_")
    notice = page.get_by_text("fold='abcde.BC_' does not fit this network")
    expect(notice).to_be_visible(timeout=30_000)
    page.wait_for_url(lambda url: "fold" not in url)
    wait_until_idle(page, 60)
    redrawn = drawn(page).filter(has_text="BasicBlock").first
    redrawn.locator(".chevron").click()
    page.wait_for_url(re.compile(r"fold=(?!abcde)"))
    page.get_by_role("radio", name="Contest", exact=True).click()
    expect(notice).to_be_hidden(timeout=30_000)
