"""The files that a graph is saved as, opened by what reads them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Download, Page, expect

from explorer.figures.block_figure import paper_figure
from explorer.figures.block_svg import block_svg
from explorer.figures.block_tikz import block_tikz
from tests.browser.driver import record_problems, wait_until_idle
from tests.browser.graph_hands import box, boxes, open_graph
from tests.support import graph_page


def saved(page: Page, kind: str, folder: Path) -> Path:
    page.get_by_label("Save as a file").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=kind, exact=True).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_files_of_the_graph(graphs: str, page: Page, tmp_path: Path) -> None:
    open_graph(page, graphs, "hostile")
    page.get_by_label("Open").select_option("every layer")
    expect(box(page, "<img src=x")).to_be_visible()
    picture = Image.open(saved(page, "PNG", tmp_path)).convert("RGB")
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 20
    svg = saved(page, "SVG", tmp_path).read_text(encoding="utf-8")
    assert "<img" not in svg
    assert "&#60;img" in svg
    pdf = saved(page, "PDF", tmp_path).read_bytes()
    assert pdf.startswith(b"%PDF-1.4")
    start = int(pdf.rpartition(b"startxref\n")[2].split()[0])
    assert pdf[start : start + 4] == b"xref"
    assert b"conv 3\xd73" in pdf
    layers = json.loads(saved(page, "JSON", tmp_path).read_text(encoding="utf-8"))["layers"]
    graph = graph_page.analysis_of("hostile").graph
    assert {layer["id"]: tuple(layer["inputs"]) for layer in layers} == {layer.id: layer.inputs for layer in graph}
    dot = saved(page, "DOT", tmp_path).read_text(encoding="utf-8")
    assert dot.count(" -> ") == sum(len(layer.inputs) for layer in graph)


def test_the_figure_for_a_paper_is_the_one_of_the_command_line(graphs: str, page: Page, tmp_path: Path) -> None:
    open_graph(page, graphs)
    downloads: list[Download] = []
    page.on("download", lambda download: downloads.append(download))
    drawn = paper_figure(graph_page.analysis_of("resnet50").graph)
    for form, write, ending in (("SVG", block_svg, "svg"), ("TikZ", block_tikz, "tex")):
        path = saved(page, f"Paper figure, {form}", tmp_path)
        assert path.name == f"resnet50.figure.{ending}"
        assert path.read_text(encoding="utf-8") == write(drawn, "resnet50")
    page.get_by_label("Choose").fill("fc")
    page.get_by_label("Choose").press("Enter")
    expect(page.locator("svg.canvas .box.chosen")).to_be_visible()
    wait_until_idle(page)
    assert len(downloads) == 2, "a rerun saves nothing again"


def test_the_file_with_zoom_search_and_folding(graphs: str, page: Page, browser: Browser, tmp_path: Path) -> None:
    open_graph(page, graphs)
    path = saved(page, "HTML", tmp_path)
    assert path.name == "resnet50.html"
    alone = browser.new_page()
    problems = record_problems(alone)
    alone.goto(path.as_uri())
    expect(boxes(alone)).to_have_count(14)
    box(alone, re.compile("Bottleneck.*0")).click()
    expect(boxes(alone)).to_have_count(18)
    alone.get_by_label("Save as a file").click()
    expect(alone.get_by_role("menuitem", name="PNG")).to_be_visible()
    expect(alone.get_by_role("menuitem", name="Paper figure")).to_have_count(0)
    alone.get_by_label("Search layers").fill("downsample")
    expect(alone.locator(".hits")).to_have_text("8")
    alone.close()
    assert problems == []
