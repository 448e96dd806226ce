"""`report`: one HTML page that needs nothing else, and says what the network says."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

import models
from explorer.cli.main import main
from explorer.figures.report import ReportPicture, report_page
from explorer.networks import catalog
from tests.support.page import TRAINED


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "net.html"
    assert main(["report", TRAINED, "cat", "--out", str(path)]) == 0
    return path


def test_it_has_the_figures_the_answer_and_every_layer(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    analysis = catalog.find(TRAINED).analysis()
    assert f"{sum(p.numel() for p in models.build(TRAINED).parameters()):,} (" in text
    assert f"<td>{analysis.macs:,}</td>" in text
    assert re.search(r"<td>cat \d+\.\d %", text)
    assert all(f"<td>{layer.id}</td>" in text for layer in analysis.layers)


def test_its_pictures_lie_in_it_and_nothing_is_fetched(report: Path) -> None:
    class Links(HTMLParser):
        found: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += [value or "" for name, value in attrs if name in ("src", "href")]

    links = Links()
    links.feed(report.read_text(encoding="utf-8"))
    assert len(links.found) == 6
    assert all(link.startswith("data:image/png;base64,") for link in links.found)
    sizes = [Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))).size for link in links.found]
    assert sizes[0][0] == sizes[0][1] == sizes[1][0]  # the picture, and what occlusion says of it


def test_a_browser_shows_the_graph_in_it(report: Path, browser: Browser) -> None:
    page = browser.new_page()
    problems = list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    page.goto(report.as_uri())
    boxes = page.frame_locator("iframe").locator("g.box")
    expect(boxes.filter(has_text="conv")).not_to_have_count(0)
    assert problems == []
    page.close()


def test_without_a_picture_it_has_the_structure_alone(tmp_path: Path) -> None:
    path = tmp_path / "big.html"
    assert main(["report", "resnet18", "--set", "num_classes=7", "--out", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert f"{sum(p.numel() for p in models.build('resnet18', num_classes=7, device='meta').parameters()):,}" in text


def test_names_that_are_markup_stay_text() -> None:
    analysis = catalog.find(TRAINED).analysis()
    evil = "<script>alert(1)</script>"
    page = report_page(evil, {evil: evil}, analysis, f"<p>{evil}</p>", {evil: [
        ReportPicture(np.zeros((4, 4, 3), np.uint8), evil + '" onload="x')
    ]})  # fmt: skip
    assert "<script" not in page
    assert 'onload="x"' not in page.replace("&quot;", "")


def test_another_ending_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", TRAINED, "--out", str(tmp_path / "a.pdf")]) == 2
    assert "does not end in .html" in capsys.readouterr().err
