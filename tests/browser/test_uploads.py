"""A person brings weights and pictures of their own to the page."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import Page, expect

import models
from explorer.training.dataset import sample
from tests.browser.driver import wait_until_idle


def wrapped(path: Path) -> Path:
    """A compact network with 5 classes, saved from within DataParallel, in a container, in half precision."""
    state = models.build("resnet_mini", num_classes=5, seed=1).half().state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    return path


def test_a_checkpoint_is_read_and_one_line_says_how(server: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{server}/?preset=resnet_mini&view=maps")
    chart = page.locator(".st-key-chart-prediction .js-plotly-plot")
    expect(chart.first).to_be_visible(timeout=60_000)  # its rerun would close the list of weights
    wait_until_idle(page, 60)
    sidebar = page.get_by_test_id("stSidebar")
    weights = sidebar.get_by_role("combobox", name="Weights")
    weights.click()
    page.get_by_role("option", name=re.compile("file", re.IGNORECASE)).click()
    sidebar.locator("[class*='st-key-weights'] input[type=file]").set_input_files(wrapped(tmp_path / "mine.pth"))
    said = sidebar.get_by_text("mine.pth: ")
    expect(said).to_be_visible(timeout=60_000)
    expect(said).to_contain_text("module.")
    expect(said).to_contain_text("num_classes = 5")
    expect(chart.filter(has_text="class 4").first).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)


def test_several_pictures_are_stepped_through(server: str, page: Page, tmp_path: Path) -> None:
    files = []
    for name in ("cat", "boat", "clock"):
        Image.fromarray(sample(name).image).save(tmp_path / f"{name}.png")
        files.append(tmp_path / f"{name}.png")
    page.goto(f"{server}/?preset=zfnet_mini&view=maps")
    wait_until_idle(page, 60)
    page.get_by_test_id("stSidebar").get_by_role("radio", name="Upload").click()
    page.locator(".st-key-upload input[type=file]").set_input_files(files)
    sidebar = page.get_by_test_id("stSidebar")
    chart = page.locator(".st-key-chart-prediction .js-plotly-plot")
    for number, name in enumerate(("cat", "boat", "clock"), start=1):
        expect(sidebar.get_by_text(f"{number} of 3")).to_be_visible()
        expect(chart.locator(".ytick text").first).to_have_text(name)
        if number < 3:
            sidebar.get_by_role("button", name="Next picture").click()
