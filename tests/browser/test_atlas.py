"""A person finds what units look for: from a layer's sheet to a unit's page, whose address opens anywhere."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import wait_until_idle, watched_page

TILES = "button[data-id]"


def test_a_unit_of_the_sheet_opens_its_page_with_projections(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=atlas&layer=features.6")
    expect(page.locator(TILES)).to_have_count(48, timeout=60_000)
    page.get_by_role("button", name=re.compile(r"^5\. channel 5")).click()
    expect(page).to_have_url(re.compile("channel=5"))
    expect(page.get_by_role("heading", name="Projections")).to_be_visible(timeout=30_000)
    wait_until_idle(page, 60)
    nine = page.locator(TILES).filter(has_text=re.compile(r"^\d.* · \w+$"))
    expect(nine).to_have_count(18)
    pictures = [tile.get_attribute("src") for tile in nine.locator("img").all()]
    assert len(set(pictures)) == 18, "nine patches and nine projections, none twice"


def test_the_address_of_a_unit_opens_in_a_fresh_browser(server: str, browser: Browser) -> None:
    address = f"{server}/?preset=zfnet_mini&view=atlas&layer=features.10&channel=3&atlas_rank=2"
    seen = list[list[str | None]]()
    for _ in range(2):
        with watched_page(browser, 1440, 900) as fresh:
            fresh.goto(address)
            expect(fresh.get_by_role("heading", name="Number 3, whole")).to_be_visible(timeout=60_000)
            wait_until_idle(fresh, 60)
            seen.append([tile.get_attribute("src") for tile in fresh.locator(f"{TILES} img").all()])
            assert fresh.url.count("channel=3") == 1
    assert seen[0] == seen[1]


def test_a_search_for_a_part_leads_to_units_that_prefer_it_and_on_to_what_feeds_them(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=atlas&layer=features.16&prefers=class:clock")
    expect(page.locator(TILES)).to_have_count(64, timeout=60_000)
    wait_until_idle(page, 60)
    first = page.locator(TILES).first
    expect(first).to_contain_text("100 %")
    first.click()
    expect(page.locator(TILES).filter(has_text="· clock")).to_have_count(18, timeout=30_000)
    feeder = page.locator(TILES).filter(has_text=re.compile(r"· [+-]\d")).first
    expect(feeder).to_be_visible(timeout=30_000)
    expect(page.get_by_role("img", name=re.compile("^The image made to excite"))).to_be_visible(timeout=60_000)
    wait_until_idle(page, 60)
    feeder.click()
    expect(page).to_have_url(re.compile(r"layer=features\.13"))


def test_a_sheet_fits_a_phone(server: str, phone_page: Page) -> None:
    phone_page.goto(f"{server}/?preset=zfnet_mini&view=atlas")
    expect(phone_page.locator(TILES)).to_have_count(24, timeout=60_000)
    width = phone_page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    box = phone_page.locator(TILES).first.bounding_box()
    assert box
    assert box["width"] >= 60, "a finger can choose it"
