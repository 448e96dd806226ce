"""A person changes views while a large network is built: the page answers, and neither view nor setting is lost."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle

LARGE = {"preset": "vgg19", "weights": "random"}


@pytest.mark.parametrize(("view", "title"), [("maps", "Feature maps"), ("occlusion", "Occlusion")])
def test_quick_changes_of_view_while_the_network_is_built(server: str, page: Page, view: str, title: str) -> None:
    asked = {"view": view, **LARGE, "seed": str(len(view))}  # of its own: a network that is there is not built again
    page.goto(f"{server}/?" + "&".join(f"{name}={value}" for name, value in asked.items()))
    expect(page.get_by_test_id("stProgress")).to_be_visible(timeout=30_000)
    page.get_by_role("radio", name="Workbench").click()
    expect(page.get_by_test_id("stMetric").first).to_be_visible()
    page.get_by_role("radio", name=title).click()
    there = page.get_by_role("heading", name="Prediction") if view == "maps" else page.get_by_role("button", name="Run")
    expect(there).to_be_visible(timeout=60_000)
    wait_until_idle(page)
    link = {name: text for name, (text,) in parse_qs(urlsplit(page.url).query).items()}
    assert link == asked
    if view == "occlusion":
        expect(page.get_by_label("Window (px)", exact=True)).to_have_value("84")
