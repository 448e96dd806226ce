"""A person clicks on a point of the contest's scatter: its network opens."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle


def test_a_point_of_the_scatter_opens_its_network(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=contest&group=families")
    wait_until_idle(page, 60)
    point = page.locator(".js-plotly-plot .scatterlayer .points path").first
    point.scroll_into_view_if_needed()
    point.click(force=True)
    expect(page).to_have_url(re.compile(r"preset=\w+"), timeout=30_000)
    wait_until_idle(page)
    opened = page.url.partition("preset=")[2].partition("&")[0]
    expect(page.get_by_role("heading", level=1)).to_contain_text(opened)
