"""What every test shares: one thread in each xdist worker, seeds, and the size of the property tests."""

from __future__ import annotations

import os
import random
import sys

import pytest
from hypothesis import settings

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


@pytest.fixture(autouse=True)
def seed() -> None:
    """Seeds the global generators, so that a test's numbers do not depend on the tests before it."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
