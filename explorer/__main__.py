"""`python -m explorer`, and the command `cnn-explorer`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, or serve the app where none is given; returns the exit code."""
    if foreign := foreign_models():
        told = "hides this program's own package `models`: start in another folder, use the command cnn-explorer, or"
        print(f"error: {foreign} {told} take its folder off PYTHONPATH.", file=sys.stderr)
        return 2
    from explorer.cli.main import main as run  # it imports models

    return run(argv)


def foreign_models() -> str | None:
    """The file or folder that `import models` would give in place of ours; None where it gives ours.

    `python -m` and PYTHONPATH put folders first in which a person may have a package of that name.
    """
    spec = importlib.util.find_spec("models")
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    found = next((place for place in places if place), "no package")
    return None if Path(found).parent.parent == Path(__file__).parents[1] else found


if __name__ == "__main__":
    sys.exit(main())
