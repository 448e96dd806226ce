"""The workbench runs alone where nothing around it changes, and with the whole page where something does."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle
from tests.browser.test_workbench import choose, metric, opened

# Streamlit marks what it is about to draw again: here what is marked outside the workbench is counted.
WATCH = """() => {
  window.redrawn = 0;
  const around = [document.querySelector('[data-testid=stSidebar]'), document.querySelector('h1')];
  new MutationObserver((changes) => { window.redrawn += changes.length; }).observe(around[0],
    {subtree: true, childList: true, characterData: true, attributeFilter: ['data-stale']});
  new MutationObserver((changes) => { window.redrawn += changes.length; }).observe(
    around[1].closest('[data-testid=stElementContainer]'), {subtree: true, attributes: true, childList: true});
}"""


def change_classes(page: Page, number: int) -> None:
    field = page.get_by_label("Num classes", exact=True)
    field.fill(str(number))
    field.press("Enter")
    page.wait_for_url(re.compile(f"k.num_classes={number}"))
    wait_until_idle(page)


def test_a_knob_draws_neither_sidebar_nor_title_again_and_is_in_the_link(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=lenet5&weights=random&panel=knobs")
    page.get_by_text("Input and classes").click()
    wait_until_idle(page)
    before = metric(page, "Parameters")
    page.evaluate(WATCH)
    change_classes(page, 12)
    assert metric(page, "Parameters") != before
    assert page.evaluate("window.redrawn") == 0
    page.keyboard.press("Control+z")
    page.wait_for_url(lambda url: "num_classes" not in url)
    wait_until_idle(page)
    assert metric(page, "Parameters") == before
    assert page.evaluate("window.redrawn") == 0


def test_what_a_knob_leaves_of_trained_weights_is_told_in_the_sidebar_at_once(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=zfnet_mini&panel=knobs")
    page.get_by_text("Input and classes").click()
    wait_until_idle(page)
    page.evaluate(WATCH)
    change_classes(page, 5)
    expect(page.get_by_test_id("stSidebar").get_by_text("Trained here kept")).to_be_visible()
    assert page.evaluate("window.redrawn") > 0


def test_a_preset_that_is_undone_inside_the_workbench_changes_the_title_too(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=zfnet_mini")
    choose(page, "Architecture", "vgg")
    title = page.get_by_role("heading", level=1)
    expect(title).to_have_text("VGG · vgg11")
    page.keyboard.press("Control+z")
    expect(title).to_have_text("ZFNet · zfnet_mini")
    expect(page).to_have_url(re.compile("preset=zfnet_mini"))
