"""What every test shares: one thread in each xdist worker, seeds, and the size of the property tests."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Workers share the cores, where a thread pool in each would fight the others. Torch reads it when imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# `make test` draws the same examples each time; `make fuzz` sets FUZZ_EXAMPLES and draws new ones.
settings.register_profile(
    "explorer",
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "50")),
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    print_blob=True,
)
settings.load_profile("explorer")


# The tests below each of these share something that takes long to make: a server, pictures, a process.
TOGETHER = (
    "tests/browser/",
    "tests/training/test_shipped_weights.py",
    "tests/house/test_installed.py",
    "tests/house/test_new_",
    "tests/house/test_broken_files.py",
)


class SharersTogether(LoadScopeScheduling):
    """Hands out single tests, but those that share something all to one worker.

    It stands in for `--dist loadgroup`, which has no effect in xdist 3.8 with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next(filter(nodeid.startswith, TOGETHER), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharersTogether:
    return SharersTogether(config, log)


def pytest_collection_finish() -> None:
    """Lets the collector pass over what lives as long as the process: that took a sixth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_unconfigure() -> None:
    """What was frozen is let go, or libraries report it as leaked when the process ends."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from tests.browser.driver import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session", autouse=True)
def components_are_looked_for_once() -> None:
    """AppTest reads what every installed package says of itself at each run, which takes longer than our page."""
    if "streamlit.testing.v1" in sys.modules:
        from streamlit.components.v2 import manifest_scanner

        manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a test in this process waits for what it needs: no browser is there to look again."""
    monkeypatch.setattr("explorer.ui.awaited.GRACE_S", 60)


@pytest.fixture(autouse=True)
def no_job_outlives_its_test() -> Iterator[None]:
    """Else it would hold a place that the jobs of later tests wait for."""
    yield
    if "explorer.ui.jobs" in sys.modules:
        sys.modules["explorer.ui.jobs"].stop_all()


@pytest.fixture(autouse=True)
def seed() -> None:
    """Seeds the global generators, so that a test's numbers do not depend on the tests before it."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
