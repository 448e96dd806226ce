"""Lineage, budget and stories in a browser: a step is taken, a network is fitted, a story is turned by keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle

WORKING_MS = 60_000


def test_a_lineage_is_stepped_and_the_figures_follow(page: Page, server: str) -> None:
    page.goto(f"{server}/?preset=alexnet_2012&panel=lineage&lineage=zfnet")
    page.get_by_role("button", name="Next step").click(timeout=WORKING_MS)
    expect(page.get_by_text("step 1 of 5")).to_be_visible(timeout=WORKING_MS)
    wait_until_idle(page)
    expect(page.get_by_test_id("stMetricValue").filter(has_text="62.4 M").first).to_be_visible()
    expect(page).to_have_url(re.compile("k.groups=1%2C1%2C1%2C1%2C1"))


def test_a_network_is_fitted_to_a_limit(page: Page, server: str) -> None:
    page.goto(f"{server}/?preset=resnet_mini&panel=budget&max_params=0.1")
    page.get_by_role("button", name="Fit to the limits").click(timeout=WORKING_MS)
    expect(page.get_by_text("below the limit of 0.1 M")).to_be_visible(timeout=WORKING_MS)
    expect(page).to_have_url(re.compile("k.widths="))


def test_a_story_is_begun_and_turned_by_keyboard(page: Page, server: str) -> None:
    page.goto(server)
    wait_until_idle(page)
    page.get_by_role("button", name="What a unit sees").press("Enter")
    expect(page.get_by_text("What a unit sees · 1 of 3")).to_be_visible(timeout=WORKING_MS)
    wait_until_idle(page)
    page.get_by_role("button", name="Next", exact=True).press("Enter")
    expect(page.get_by_text("sees 196 × 196 px")).to_be_visible(timeout=WORKING_MS)
