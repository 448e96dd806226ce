"""Fixtures of the browser tests: one server, a fresh page for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import serve, watched_page
from tests.support.places import ROOT

HERE = Path(__file__).parent
SECOND_TRY = pytest.mark.flaky(reruns=1)  # shown at the end of a run, with what failed
expect.set_options(timeout=30_000)  # of a busy machine; what is there at once costs none of it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test of this folder a second try, unless the command line says how many."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.config.getoption("reruns") is None:
            item.add_marker(SECOND_TRY)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app."""
    with serve(ROOT / "app.py", tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched_page(browser, 1440, 900) as page:
        yield page


@pytest.fixture
def dark_page(browser: Browser) -> Iterator[Page]:
    with watched_page(browser, 1440, 900, dark=True) as page:
        yield page


@pytest.fixture
def phone_page(browser: Browser) -> Iterator[Page]:
    with watched_page(browser, 390, 844) as page:
        yield page


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with a graph alone."""
    script = ROOT / "tests" / "support" / "graph_page.py"
    with serve(script, tmp_path_factory.mktemp("graphs") / "log.txt") as url:
        yield url
