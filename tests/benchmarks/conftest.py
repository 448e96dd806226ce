"""Every file of benchmarks prints one table at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.timing import Table


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """The table of this file, printed after its last benchmark; its title is the file's docstring."""
    found = Table(request.module.__doc__.splitlines()[0])
    yield found
    print(f"\n\n{found}")
