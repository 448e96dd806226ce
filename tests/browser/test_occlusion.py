"""A person slides the square: to the end, and stopped half way."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import Page, expect

from explorer.images.codec import load
from tests.browser.driver import wait_until_idle

# 117 × 117 positions: more than starts by itself, and work for far longer than a person takes to stop it.
FINE = "&k.image_size=128&window=12&stride=1"


def test_a_run_ends_and_a_click_moves_the_square(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=occlusion&window=20&stride=6")
    sentence = page.get_by_text(re.compile(r"cat falls from \d+ % to \d+ % when the dashed square is hidden"))
    expect(sentence).to_be_visible(timeout=30_000)
    wait_until_idle(page)
    expect(page.locator(".stage")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Probability (NPY)").click()
    assert np.load(download.value.path()).shape == (9, 9)
    for name in ("Probability", "Classes"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"{name} (PNG)").click()
        assert load(download.value.path().read_bytes()).pixels.shape[0] >= 64
    page.locator(".stage").first.click()
    expect(page).to_have_url(re.compile("position="))
    wait_until_idle(page)
    moved = page.locator("output").first.inner_text()
    page.reload()
    wait_until_idle(page)
    expect(page.locator("output").first).to_have_text(moved, timeout=20_000)


def test_a_run_stops_half_way_keeps_what_was_done_and_goes_on(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=occlusion{FINE}")
    wait_until_idle(page)
    expect(page.get_by_text("13,689 positions")).to_be_visible()
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text(re.compile(r"[1-9][\d,]* of 13,689"))).to_be_visible(timeout=20_000)
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    expect(page.get_by_text(re.compile(r"Stopped after [\d,]+ of 13,689 positions"))).to_be_visible()
    wait_until_idle(page)
    expect(page.get_by_text("Partial")).to_be_visible()
    expect(page.locator(".stage")).to_have_count(2)
    before = _tried(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text(re.compile(r"[1-9][\d,]* of 13,689 · .* left"))).to_be_visible(timeout=20_000)
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    expect(page.get_by_text(re.compile(r"Stopped after [\d,]+ of 13,689 positions"))).to_be_visible()
    assert _tried(page) >= before > 0


def _tried(page: Page) -> int:
    """At how many positions the run stopped."""
    text = page.get_by_text(re.compile("Stopped after")).inner_text()
    found = re.search(r"Stopped after ([\d,]+) of", text)
    assert found is not None
    return int(found[1].replace(",", ""))
