"""Trained weights in a browser: an activation is swapped and what was learned stays; filters and figures of layers."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle
from tests.browser.test_workbench import choose, opened


def test_a_swapped_activation_keeps_what_was_trained_and_shows_its_maps(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=zfnet_mini&panel=knobs")
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text("Trained here kept")).to_have_count(0)
    page.get_by_test_id("stExpander").filter(has_text="Layers").locator("summary").click()
    choose(page, "Activation", "silu")
    expect(sidebar.get_by_text("Trained here kept, whole.")).to_be_visible()
    page.get_by_role("radio", name="Feature maps").click()
    wait_until_idle(page, 60)
    expect(page.get_by_test_id("stMain").get_by_text("Trained here kept, whole.")).to_be_visible()
    expect(page.get_by_test_id("stPlotlyChart").first).to_contain_text("cat")
    sidebar.get_by_role("button", name="Back to zfnet_mini").click()
    wait_until_idle(page, 60)
    expect(sidebar.get_by_text("Trained here kept")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("k.activation"))


def test_a_filter_that_is_clicked_chooses_its_channel(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=zfnet_mini&panel=layer&layer=features.0")
    filters = page.locator("button[title^='L2 norm']")
    expect(filters).to_have_count(24, timeout=60_000)
    number = filters.nth(5).get_attribute("data-id")
    filters.nth(5).click()
    wait_until_idle(page, 60)
    expect(page).to_have_url(re.compile(f"channel={number}"))
    expect(page.locator(f"button[title^='L2 norm'][data-id='{number}']")).to_have_attribute("aria-pressed", "true")


def test_latency_by_layer_and_dead_channels_are_found_on_demand_and_colour_the_graph(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=zfnet_mini&panel=costs")
    page.get_by_role("button", name="Measure latency").click()
    expect(page.get_by_text("The layers add up to")).to_be_visible(timeout=120_000)
    page.get_by_role("button", name="Find dead channels").click()
    expect(page.get_by_text("Dead for this picture: ")).to_be_visible(timeout=60_000)
    colour = page.get_by_label("Colour", exact=True)
    for name in ("Latency (ms)", "Dead channels", "Zeros"):
        colour.select_option(label=name)
    expect(page.locator(".legend").first).to_contain_text("Zeros")
