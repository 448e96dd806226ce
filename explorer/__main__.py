"""`python -m explorer`, and the command `cnn-explorer`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from explorer.discovery import foreign_models


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, or serve the app where none is given; returns the exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given and given[0] == "open":  # it works beside a person's own models, which their file may import
        from explorer.cli.opening import main as open_

        return open_(given[1:])
    if foreign := foreign_models():
        told = "hides this program's own package `models`: start in another folder, use the command cnn-explorer, or"
        print(f"error: {foreign} {told} take its folder off PYTHONPATH.", file=sys.stderr)
        return 2
    from explorer.cli.main import main as run  # it imports models

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
