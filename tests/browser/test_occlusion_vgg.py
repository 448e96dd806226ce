"""The occlusion map of a large network appears bit by bit, and stops when a person says so."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle

POSITIONS = "2,809"  # of a square of 16 px that moves by 4 over 224 px: a quarter of an hour on two cores


def test_the_map_of_vgg16_appears_progressively_and_stops(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=vgg16&weights=random&view=occlusion&window=16&stride=4&image=cat")
    expect(page.get_by_text(f"{POSITIONS} positions")).to_be_visible(timeout=60_000)
    wait_until_idle(page)
    page.get_by_role("button", name="Run", exact=True).click()
    progress = page.get_by_text(re.compile(rf"[1-9][\d,]* of {POSITIONS}"))
    expect(progress).to_be_visible(timeout=120_000)
    first = done(progress.inner_text())
    expect(page.locator(".stage").first).to_be_visible()
    expect(progress).not_to_contain_text(f"{first:,} of", timeout=120_000)
    assert done(progress.inner_text()) > first
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    stopped = page.get_by_text(re.compile(rf"Stopped after [\d,]+ of {POSITIONS} positions"))
    expect(stopped).to_be_visible(timeout=60_000)
    assert done(stopped.inner_text()) >= first
    expect(page.get_by_text("Partial")).to_be_visible()
    expect(page.locator(".stage").first).to_be_visible()


def done(text: str) -> int:
    """How many positions a sentence says were done."""
    (found,) = re.findall(rf"([\d,]+) of {POSITIONS}", text)
    return int(found.replace(",", ""))
