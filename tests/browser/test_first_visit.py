"""A first visit: a network that people know, which has learned nothing yet, one that has, and the way back."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle


def test_from_the_bare_address_to_a_trained_network_and_back(server: str, page: Page) -> None:
    page.goto(server)
    wait_until_idle(page, 60)
    title, trained = page.get_by_role("heading", level=1), page.get_by_role("button", name="Open resnet_mini")
    expect(title).to_have_text("ResNet · resnet50")
    expect(page.locator("g.box").filter(has_text="Bottleneck")).not_to_have_count(0)
    start = page.url
    assert "?" not in start
    page.get_by_role("radio", name="Feature maps").click()
    page.wait_for_url("**/?preset=resnet50&view=maps")
    wait_until_idle(page)
    trained.click()
    expect(page.get_by_test_id("stPlotlyChart").first).to_contain_text("cat", timeout=30_000)
    page.wait_for_url("**/?preset=resnet_mini&view=maps")
    expect(trained).to_have_count(0)
    for _ in range(2):
        page.go_back()
        wait_until_idle(page)
    expect(page).to_have_url(start)
    expect(title).to_have_text("ResNet · resnet50")
