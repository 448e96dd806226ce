"""A skip connection is switched off in a browser, and what the network says changes."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle
from tests.browser.test_workbench import drawn, opened


def test_without_its_skip_connection_the_network_says_something_else(server: str, page: Page) -> None:
    opened(page, f"{server}/?preset=resnet_mini&panel=ablate&layer=layer1.0.add")
    table = page.get_by_test_id("stTable")
    expect(table).to_contain_text("cat", timeout=60_000)
    expect(table).not_to_contain_text("Without")
    page.get_by_test_id("stCheckbox").filter(has_text="act (skip connection)").locator("label").click()
    wait_until_idle(page, 60)
    expect(table).to_contain_text("Without")
    expect(page.get_by_text("Off: act at layer1.0.add")).to_be_visible()
    whole, without = table.locator("tbody tr").first.locator("td").all_inner_texts()[-2:]
    assert whole != without
    drawn(page).filter(has_text="conv 3×3 /2 · 32 · relu").first.click()
    wait_until_idle(page, 60)
    expect(page.get_by_text("Channels of layer2.0.conv1 to switch off")).to_be_visible()
    expect(table).to_contain_text("Without")
