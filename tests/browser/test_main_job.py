"""The main job as a person does it, in one sitting: pick VGG, change it, look at a photo through it, occlude it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle
from tests.browser.grid import edit_cell
from tests.browser.test_workbench import choose, figures, opened


def photo(path: Path) -> Path:
    """A picture as a camera makes it: wide, JPEG, lying on its side with an EXIF orientation."""
    rows, columns = np.mgrid[0:480, 0:640]
    pixels = np.stack([rows // 2, columns // 3, (rows + columns) // 5], -1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def view(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    wait_until_idle(page, 60)


def test_from_the_first_look_to_a_stopped_occlusion(server: str, page: Page, tmp_path: Path) -> None:
    opened(page, server)
    page.get_by_role("radio", name="Knobs", exact=True).click()
    choose(page, "Architecture", "vgg")
    choose(page, "Preset", "vgg_mini")
    boxes = page.locator("g.box")
    expect(boxes.filter(has_text="Bottleneck")).to_have_count(0)  # the first visit's network is gone
    before, graph = figures(page), boxes.all_text_contents()
    edit_cell(page, "Depths", 3, "3")
    page.wait_for_url(re.compile("k.depths=1%2C1%2C3%2C2"))
    wait_until_idle(page)
    assert all(old != new for old, new in zip(before, figures(page), strict=True))
    expect(boxes).not_to_have_text(graph)
    page.get_by_text("Input and classes").click()
    side = page.get_by_label("Image size (px)", exact=True)
    side.fill("128")
    side.press("Enter")
    page.wait_for_url(re.compile("k.image_size=128"))
    wait_until_idle(page)

    page.get_by_role("radio", name="Upload").click()
    page.locator(".st-key-upload input[type=file]").set_input_files(photo(tmp_path / "holiday.jpg"))
    expect(page.get_by_text(re.compile(r"holiday\.jpg · 480 × 640 px"))).to_be_visible(timeout=20_000)
    view(page, "Feature maps")
    expect(page.locator("button[data-id]")).not_to_have_count(0, timeout=60_000)
    expect(page.locator(".stage img")).to_be_visible(timeout=60_000)

    view(page, "Occlusion")
    expect(page.locator(".stage")).to_have_count(2, timeout=60_000)
    fall = page.get_by_text(re.compile(r"falls from .+ when the dashed square is hidden"))
    expect(fall).to_be_visible(timeout=60_000)
    stride = page.get_by_role("spinbutton", name="Stride (px)")
    stride.fill("1")
    stride.press("Enter")
    wait_until_idle(page)
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text(re.compile(r"[1-9][\d,]* of 6,561"))).to_be_visible(timeout=30_000)
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    expect(page.get_by_text(re.compile(r"Stopped after [\d,]+ of 6,561 positions"))).to_be_visible(timeout=20_000)
