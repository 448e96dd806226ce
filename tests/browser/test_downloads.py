"""A chart and a table of the page as files, opened by what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import explorer
import models
from tests.browser.driver import wait_until_idle


def saved(page: Page, link: Locator, folder: Path) -> Path:
    with page.expect_download() as download:
        link.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_chart_as_csv_svg_and_png(server: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{server}/?preset=resnet_mini&panel=costs")
    expect(page.locator(".js-plotly-plot .bars .point")).not_to_have_count(0)
    wait_until_idle(page, 60)
    files = {kind: saved(page, page.get_by_role("button", name=f"Download costs as {kind}"), tmp_path)
             for kind in ("CSV", "SVG", "PNG")}  # fmt: skip
    assert files["CSV"].name == "resnet_mini_costs.csv"
    analysis = explorer.analyze(models.build("resnet_mini", device="meta"), (3, 64, 64))
    rows: Any = pd.read_csv(files["CSV"])
    assert rows["Parameters"].sum() == analysis.params
    drawn = ElementTree.parse(files["SVG"]).getroot()
    texts = {text for element in drawn.iter("{http://www.w3.org/2000/svg}text") for text in element.itertext()}
    assert {"Parameters", "MACs", "Size of the maps", "head"} <= texts
    picture = Image.open(files["PNG"]).convert("RGB")
    assert picture.width == 2 * int(float(drawn.attrib["width"]))
    colours = np.unique(np.asarray(picture).reshape(-1, 3), axis=0).tolist()
    assert [0x00, 0x72, 0xB2] in colours
    assert [0xE6, 0x9F, 0x00] in colours


def test_a_table_of_figures_as_csv(server: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{server}/?view=compare&preset=vgg_mini&pin1=nin_mini")
    link = page.get_by_role("button", name="Download compared networks as CSV")
    expect(link).to_be_visible()
    wait_until_idle(page, 60)
    found: Any = pd.read_csv(saved(page, link, tmp_path))
    for name, params in zip(("nin_mini", "vgg_mini"), found["Parameters"], strict=True):
        assert params == sum(p.numel() for p in models.build(name, device="meta").parameters())


def test_a_long_table_hands_out_its_numbers_unrounded(server: str, page: Page, tmp_path: Path) -> None:
    page.add_init_script("delete window.showSaveFilePicker")  # a browser that has none saves without asking
    page.goto(f"{server}/?view=contest")
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    wait_until_idle(page, 60)
    table.hover()
    found: Any = pd.read_csv(saved(page, page.get_by_role("button", name="Download as CSV"), tmp_path))
    assert {"Network", "Accuracy", "MACs", "Batch 1 (ms)"} <= set(found.columns)
    row = found.set_index("Preset").loc["zfnet_mini"]
    assert row["MACs"] == explorer.analyze(models.build("zfnet_mini", device="meta"), (3, 64, 64)).macs
