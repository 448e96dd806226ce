"""The command `identify`: which network a file of weights belongs to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from explorer.cli.json_text import json_text
from explorer.networks.identify import MOST_SHOWN, identify, in_words, verdict
from explorer.networks.knob_text import plain
from models.weights.own_file import open_own
from models.weights.recognise import NetworkMatch
from models.weights.safetensors_file import difference


def identify_command(file: str, as_json: bool) -> int:
    """Print the network that the file is, with the knobs that its tensors show, or those that it is most like."""
    opened = open_own(Path(file))
    matches = identify(opened, _show_progress)
    best = matches[0] if matches else None
    if as_json:
        print(json_text({"file": opened.name, "tensors": len(opened.header.shapes), "classes": opened.header.classes,
                          "matches": [_as_data(match) for match in matches[:MOST_SHOWN]]}))  # fmt: skip
        return 0
    print(verdict(opened, matches))
    if best is not None and (said := best.reading(opened.header)):
        print(f"{said}.")
    if best is not None and not best.fit.is_whole:
        for match in matches[1:MOST_SHOWN]:
            print(f"then {in_words(match)}: {len(match.fit.same):,} fit; {difference(match.fit)}")
    return 0


def _as_data(match: NetworkMatch) -> dict[str, Any]:
    found = match.fit
    return {
        "name": match.name, "knobs": {name: plain(value) for name, value in match.knobs.items()},
        "is_whole": found.is_whole, "fitting": len(found.same), "differing": found.differences,
        "prefix": found.prefix, "names_of": found.renaming, "first_difference": _first(match),
    }  # fmt: skip


def _first(match: NetworkMatch) -> str | None:
    return None if match.fit.is_whole else difference(match.fit)


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{done} of {total} networks looked at", end="\r", file=sys.stderr, flush=True)
