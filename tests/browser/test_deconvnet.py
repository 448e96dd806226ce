"""A person chooses a unit and follows its signal back to the pixels, layer by layer."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle


def open_deconvnet(page: Page, server: str, query: str = "") -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=deconvnet&layer=features.4{query}")
    expect(page.locator("button[data-id]")).to_have_count(18, timeout=60_000)
    wait_until_idle(page)


def signal(page: Page) -> str | None:
    """The picture of the signal at the step at hand."""
    return page.get_by_role("img", name=re.compile("The signal at")).get_attribute("src")


def test_a_signal_is_stepped_back_layer_by_layer(server: str, page: Page) -> None:
    open_deconvnet(page, server)
    expect(page.get_by_text("Step 0 of 5")).to_be_visible()
    pictures = [signal(page)]
    for step, says in enumerate(("filter", "unpool", "rectify", "scale", "filter"), 1):
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_text(f"Step {step} of 5")).to_be_visible()
        wait_until_idle(page)
        expect(page.get_by_text(re.compile(rf"Through features\.\d \(.+\), {says}"))).to_be_visible()
        pictures.append(signal(page))
    assert len(set(pictures)) == 6, "every layer has its own picture"
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.reload()
    expect(page.get_by_text("Step 5 of 5")).to_be_visible(timeout=20_000)


def test_a_click_chooses_channel_and_position(server: str, page: Page) -> None:
    open_deconvnet(page, server)
    chosen = page.locator("button[data-id]").nth(4)
    number = chosen.get_attribute("data-id")
    chosen.click()
    expect(page).to_have_url(re.compile(f"channel={number}"))
    wait_until_idle(page)
    page.locator(".stage").first.click()
    expect(page).to_have_url(re.compile("row=.*column=|column=.*row="))
    wait_until_idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Projection (NPY)").click()
    assert np.load(download.value.path()).shape == (3, 64, 64)


def test_projection_and_photo_stand_side_by_side_on_a_phone(server: str, phone_page: Page) -> None:
    open_deconvnet(phone_page, server)
    boxes = [
        phone_page.get_by_role("img", name=re.compile(f"^{name}, ")).bounding_box() for name in ("Projection", "Photo")
    ]
    assert all(boxes)
    left, right = (box for box in boxes if box)
    assert abs(left["y"] - right["y"]) < 2
    assert left["x"] + left["width"] <= right["x"]
    assert right["x"] + right["width"] <= 390
