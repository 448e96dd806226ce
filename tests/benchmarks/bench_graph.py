"""The graph: its payload, and in Chromium its first paint, the whole of DenseNet-201, and one module that opens."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

import explorer
import models
from explorer.figures.graph_payload import graph_payload
from tests.benchmarks.timing import Table, best_seconds, seconds
from tests.browser.driver import serve
from tests.support.dot_page import WRITERS
from tests.support.graph_alone import empty, watched
from tests.support.graph_page import analysis_of
from tests.support.places import ROOT
from tests.support.preset_sizes import input_size

ROUNDS = 5
BIG = ["densenet201", "torchvision:densenet201", "efficientnet_b7"]
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = empty(browser)
    yield page
    page.close()


@pytest.mark.parametrize("name", BIG)
def test_payload(name: str, table: Table) -> None:
    analysis = analysis_of(name)
    (best,) = best_seconds([lambda: json.dumps(graph_payload(analysis))], ROUNDS)
    table.limit(f"payload of {name}", best, 0.05)
    size = len(json.dumps(graph_payload(analysis)))
    table.limit(f"its size, {name}", size, 200_000, lambda value: f"{value / 1000:.0f} KB")


def test_first_paint_of_every_preset(page: Page, table: Table) -> None:
    found = {}
    for name in models.presets():
        analysis = explorer.analyze(models.build(name, device="meta"), input_size(name, 224))
        payload = graph_payload(analysis, title=name)
        found[name] = min(watched(page, "show(argument)", payload)[0] for _ in range(2))
    slowest = max(found, key=lambda name: found[name])
    table.limit(f"first paint, folded: the slowest of {len(found)} presets ({slowest})", found[slowest], 0.5)


@pytest.mark.parametrize("name", BIG)
def test_opened_whole(name: str, browser: Browser, page: Page, table: Table) -> None:
    """The first time on pages of their own, as a layout that was made once is kept."""
    payload = graph_payload(analysis_of(name), title=f"whole {name}")
    watched(page, "show(argument)", payload)
    levels = page.locator("[aria-label=Open] option").evaluate_all("all => all.map((option) => option.value)")[1:]
    gaps = {level: [watched(page, "level(argument)", level)[1] for _ in range(ROUNDS)] for level in levels}
    first = [opened_afresh(browser, payload) for _ in range(3)]
    gaps[levels[-3]] += [gap for _, gap in first]
    table.limit(f"{name} opened whole", min(took for took, _ in first), 1.5)
    longest = max(min(found) for found in gaps.values())
    table.limit(f"longest gap on the page's thread, any level of {name}", longest, 0.1)


def opened_afresh(browser: Browser, payload: dict[str, Any]) -> tuple[float, float]:
    """All modules opened on a page that has laid out nothing yet."""
    page = empty(browser)
    watched(page, "show(argument)", payload)
    deepest = page.locator("[aria-label=Open] option").evaluate_all("all => all.at(-3).value")
    found = watched(page, "level(argument)", deepest)
    page.close()
    return found


@pytest.mark.parametrize(("name", "part"), [("resnet50", "layer2"), ("densenet201", "denseblock3")])
def test_one_module_opens_and_closes(name: str, part: str, page: Page, table: Table) -> None:
    payload = graph_payload(analysis_of(name), title=f"toggle {name}")
    watched(page, "show(argument)", payload)
    times = [watched(page, "toggle(argument)", part)[0] for _ in range(2 * ROUNDS)]
    table.limit(f"{part} of {name} opens or closes", max(min(times[::2]), min(times[1::2])), 0.1)


@pytest.fixture(scope="module")
def ours(browser: Browser) -> float:
    """Seconds until DenseNet-201 is laid out and drawn whole on a page that has drawn nothing of the kind yet."""
    payload = graph_payload(analysis_of("densenet201"), title="beside")
    return min(opened_afresh(browser, payload)[0] for _ in range(3))


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
@pytest.mark.parametrize("writer", WRITERS)
def test_graphviz_beside_it(writer: str, ours: float, table: Table) -> None:
    """The same DenseNet-201, every layer, as Graphviz lays it out: of our layers, and as torchview writes it."""
    source = WRITERS[writer]("densenet201").encode()
    dot = took(lambda: subprocess.run(["dot", "-Tsvg"], input=source, capture_output=True, check=True))
    table.against(f"DenseNet-201 whole; dot -Tsvg of {writer}, layout alone", seconds(ours), seconds(dot), ours / dot)


@pytest.mark.parametrize("writer", WRITERS)
def test_streamlits_graphviz_beside_it(
    writer: str, ours: float, browser: Browser, table: Table, tmp_path: Path
) -> None:
    """The same by Streamlit's own Graphviz, which is there without an installation."""
    with serve(ROOT / "tests" / "support" / "dot_page.py", tmp_path / "log.txt") as address, browser.new_page() as page:
        times = [chart(page, f"{address}/?writer={writer}&network={network}") for network in ("densenet201", "") * 2]
    dot = min(times[::2]) - min(times[1::2])
    what = f"DenseNet-201 whole; st.graphviz_chart of {writer}, beyond that of two nodes"
    table.against(what, seconds(ours), seconds(dot), ours / dot)


def chart(page: Page, address: str) -> float:
    def opened() -> None:
        page.goto(address, timeout=PATIENCE_MS)
        expect(page.locator("[data-testid=stGraphVizChart] svg .node").first).to_be_visible(timeout=PATIENCE_MS)

    return took(opened)


def took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
