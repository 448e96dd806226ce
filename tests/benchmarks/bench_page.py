"""The app: opening, a changed knob, a network that does not fit, and Stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

import models
from explorer.analysis.occlusion import OcclusionSettings, occlusion_steps
from explorer.errors import MemoryLimitError
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.ui.jobs import Job
from tests.benchmarks.timing import Table, best_seconds, seconds
from tests.browser.driver import serve, wait_until_idle, watched_page
from tests.support.places import ROOT

ROUNDS = 3
PATIENCE_MS = 120_000
IDLE_S = 0.3  # how long `wait_until_idle` watches a page that rests
PLAIN = Path(__file__).with_name("plain_page.py")
KINDS = (
    "stSelectbox",
    "stNumberInput",
    "stSlider",
    "stCheckbox",
    "stTextInput",
    "stButton",
    "stButtonGroup",
    "stDataFrame",
)
WIDGETS = ", ".join(f'[data-testid="{kind}"]' for kind in KINDS)
HUGE = {"widths": "1024,1024,1024,1024,1024", "image_size": "1024", "fc_widths": "65536,65536,{}"}  # of vgg19: 41 GB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(ROOT / "app.py", tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


def open_all(page: Page, address: str) -> None:
    """Ask for the page, and wait for all that the first view shows."""
    page.goto(address, timeout=PATIENCE_MS)
    expect(page.get_by_test_id("stMetric")).to_have_count(3, timeout=PATIENCE_MS)
    expect(page.locator("g.box")).not_to_have_count(0, timeout=PATIENCE_MS)
    expect(page.get_by_test_id("stSidebar").get_by_test_id("stImage")).to_be_visible(timeout=PATIENCE_MS)


def took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_opening(server: str, browser: Browser, table: Table) -> None:
    times = []
    for _ in range(1 + ROUNDS):
        with watched_page(browser, 1440, 900) as page:
            times.append(took(lambda page=page: open_all(page, server)))
            wait_until_idle(page, 120)
    first, *later = times
    table.alone("everything on screen, server just started", seconds(first))
    table.limit("everything on screen, warm server, new browser session", min(later), 5)


def test_a_changed_knob(server: str, browser: Browser, table: Table) -> None:
    classes = count(2000, 1000)

    def change() -> None:
        shown = value.inner_text()
        field.fill(str(next(classes)))
        field.press("Enter")
        expect(value).not_to_have_text(shown, timeout=PATIENCE_MS)

    with watched_page(browser, 1440, 900) as page:
        page.goto(f"{server}/?preset=vgg16&panel=knobs", timeout=PATIENCE_MS)
        wait_until_idle(page, 120)
        value = page.get_by_test_id("stMetric").filter(has_text="Parameters").get_by_test_id("stMetricValue")
        page.get_by_text("Input and classes").click()
        field = page.get_by_label("Num classes", exact=True)
        times = []
        for _ in range(ROUNDS):
            times.append(took(change))
            wait_until_idle(page, 120)
    table.limit("VGG-16 with other classes, until its figures change", min(times), 1)


def settled(page: Page, label: str, values: Iterator[int]) -> float:
    """The least seconds from a new number in a field until the page rests again."""
    field = page.get_by_label(label, exact=True)

    def change() -> None:
        field.fill(str(next(values)))
        field.press("Enter")
        wait_until_idle(page, 120)

    change()
    return min(took(change) for _ in range(ROUNDS)) - IDLE_S


@pytest.mark.parametrize(
    ("preset", "goal"), [("lenet5", 1.3), ("resnet50", 2), ("densenet201", 2), ("efficientnet_b7", 2), ("vgg16", 2)]
)
def test_a_knob_against_a_plain_page(
    preset: str, goal: float, server: str, browser: Browser, table: Table, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Another number of classes changes weights, costs and graph; the plain page has as many widgets and no network.

    The analysis is what no page can do without: beyond the goal, it says that the goal is not to be had.
    """
    with watched_page(browser, 1440, 900) as page:
        page.goto(f"{server}/?preset={preset}&panel=knobs&weights=random", timeout=PATIENCE_MS)
        wait_until_idle(page, 120)
        page.get_by_text("Input and classes").click()
        mine = settled(page, "Num classes", count(900))
        widgets = page.locator(WIDGETS).count()
    monkeypatch.setenv("WIDGETS", str(widgets))
    with serve(PLAIN, tmp_path / "log.txt") as address, watched_page(browser, 1440, 900) as page:
        page.goto(address, timeout=PATIENCE_MS)
        wait_until_idle(page, 120)
        plain = settled(page, "Number", count(1))
    (analysis,) = best_seconds([lambda: catalog.find(preset, {"num_classes": "77"}).analysis()], ROUNDS)
    what = f"{preset} with other classes, until the page rests"
    table.limit(what, mine, 0.5)
    plainly = f"{seconds(plain)} a page of {widgets} widgets"
    table.against("  beside a page without a network", seconds(mine), plainly, mine / plain, f"≤ {goal:g}")
    table.against("  the analysis alone", seconds(analysis), plainly, analysis / plain)


def test_a_network_that_does_not_fit(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setattr("explorer.run.device.free_bytes", lambda device: 16_000_000_000)
    widths, refusals = count(8192), list[str]()

    def ask() -> None:
        knobs = {name: text.format(next(widths)) for name, text in HUGE.items()}  # a Spec that no cache has seen
        try:
            catalog.load(catalog.find("vgg19", knobs), catalog.weights_source("vgg19", "random"), "cpu")
        except MemoryLimitError as error:
            refusals.append(str(error))

    (best,) = best_seconds([ask], ROUNDS)
    assert len(refusals) == ROUNDS
    table.limit(f"refusing: {refusals[0].split(',')[0]}", best, 1)


@pytest.mark.parametrize(("name", "size_px"), [("zfnet_mini", 64), ("resnet18", 224), ("vgg16", 224)])
def test_stop_of_an_occlusion(name: str, size_px: int, table: Table) -> None:
    """The worst of stops at several moments, as the person's click may come at any."""
    program, image = trace(models.build(name), (3, size_px, size_px)), torch.randn(1, 3, size_px, size_px)
    settings = OcclusionSettings(size_px // 5, 1)

    def work(job: Job) -> None:
        for found in occlusion_steps(program, image, settings=settings, cancel=job.should_stop):
            job.progress(int(found.done.sum()), found.done.size, found)

    def stopped(moment: int) -> float:
        job = Job(("occlusion",), work).start()
        while not job.partial and not job.finished:
            time.sleep(0.01)
        time.sleep(0.37 * moment)

        def stop() -> None:
            job.stop()
            job.wait()

        latency = took(stop)
        assert job.cancelled
        return latency

    table.limit(f"Stop of an occlusion of {name}, {size_px} px", max(map(stopped, range(ROUNDS))), 1)
