"""A person uploads a photo and looks at what a layer makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from explorer.images.codec import load
from tests.browser.driver import wait_until_idle
from tests.support.places import SAMPLES

PHOTO = SAMPLES / "boat.png"


def open_maps(page: Page, server: str, query: str = "") -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=maps{query}")
    wait_until_idle(page)


def test_an_uploaded_photo_has_maps_and_a_prediction(server: str, page: Page, tmp_path: Path) -> None:
    open_maps(page, server)
    expect(page.get_by_test_id("stMetricValue").first).to_have_text("80")
    stage = page.locator(".stage img")
    before = stage.get_attribute("src") or ""
    page.get_by_role("radio", name="Upload").click()
    wait_until_idle(page)
    photo = tmp_path / "my photo.png"
    photo.write_bytes(PHOTO.read_bytes())
    page.locator(".st-key-upload input[type=file]").set_input_files(photo)
    expect(page.get_by_text("my photo.png").first).to_be_visible()
    wait_until_idle(page)
    expect(stage).not_to_have_attribute("src", before)
    expect(page.get_by_test_id("stPlotlyChart").first).to_contain_text("boat")
    with page.expect_download() as download:
        page.get_by_role("button", name="All maps (NPY)").click()
    assert np.load(download.value.path()).shape == (80, 8, 8)
    with page.expect_download() as download:
        page.get_by_role("button", name="These maps (PNG)").click()
    assert load(download.value.path().read_bytes()).pixels.shape[1] > 600


def test_a_photo_of_the_camera_has_maps(server: str, page: Page) -> None:
    open_maps(page, server)
    stage = page.locator(".stage img")
    before = stage.get_attribute("src") or ""
    page.get_by_role("radio", name="Camera").click()
    wait_until_idle(page)
    page.get_by_role("button", name="Take Photo").click()
    expect(page.get_by_text("camera-input").first).to_be_visible()
    wait_until_idle(page)
    expect(stage).not_to_have_attribute("src", before)
    expect(page.get_by_role("heading", name="Prediction")).to_be_visible()


def test_a_click_chooses_a_channel_then_a_unit_and_the_link_keeps_both(server: str, page: Page) -> None:
    open_maps(page, server)
    tiles = page.locator("button[data-id]")
    expect(tiles).to_have_count(36)
    chosen = tiles.nth(7).get_attribute("data-id")
    tiles.nth(7).click()
    expect(page.get_by_role("heading", name=f"Channel {chosen}", exact=True)).to_be_visible()
    wait_until_idle(page)
    expect(tiles.nth(7)).to_have_attribute("aria-pressed", "true")
    expect(tiles.nth(7)).to_be_focused()
    page.locator(".stage").click(position={"x": 4, "y": 4})
    expect(page.get_by_text("the unit at row 0, column 0 sees")).to_be_visible()
    wait_until_idle(page)
    page.locator(".stage").press("ArrowRight")
    expect(page.get_by_text("the unit at row 0, column 1 sees")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"channel={chosen}&row=0&column=1"))


def test_maps_fit_a_phone(server: str, phone_page: Page) -> None:
    open_maps(phone_page, server, "&layer=features.0")
    expect(phone_page.locator("button[data-id]")).to_have_count(24)
    for part in (phone_page.locator(".stage img"), phone_page.locator("button[data-id]").first):
        box = part.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
