"""The lens of the receptive field in a browser: clicks on picture and curve, and playing through the layers."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import wait_until_idle


def look(page: Page, address: str) -> None:
    page.goto(address)
    wait_until_idle(page, 60)


def click(page: Page, at: Locator, across: float = 0.5, down: float = 0.5) -> None:
    """A click of the mouse at shares of an element's width and height, whatever lies over it."""
    box = at.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])


def test_clicks_on_curve_and_picture_choose_layer_and_unit(server: str, page: Page) -> None:
    look(page, f"{server}/?panel=field&preset=zfnet_mini&layer=features.8")
    points = page.get_by_test_id("stPlotlyChart").locator(".scatterlayer .trace .points path")
    click(page, points.nth(2))
    page.wait_for_url(re.compile(r"layer=features\.[0-3]&"))
    wait_until_idle(page)
    click(page, page.locator(".stage").last, 0.2, 0.1)
    page.wait_for_url(re.compile("row="))
    wait_until_idle(page)
    expect(page.get_by_text(re.compile(r"^Row 3, column 6 of 32 × 32 can see 7 × 7 px"))).to_be_visible()


def test_playing_ends_at_the_last_layer_and_the_page_follows(server: str, page: Page) -> None:
    look(page, f"{server}/?panel=field&preset=zfnet_mini&layer=features.14")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    page.wait_for_url(re.compile("layer=avgpool"), timeout=30_000)
    wait_until_idle(page)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"can see 99 × 99 px")).first).to_be_visible()
