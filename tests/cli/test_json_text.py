"""What commands print as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import numpy as np

from explorer.analysis.mean import Mean
from explorer.cli.json_text import json_text
from tests.support.places import ROOT


def refuse(word: str) -> NoReturn:
    raise AssertionError(f"{word} is no JSON")


def test_numbers_that_are_not_finite_are_null() -> None:
    value = {"a": [1.5, float("nan"), (float("inf"), "nan")], "b": Mean(np.float64("nan"), None, 3), "c": [True, 0]}
    found = json.loads(json_text(value), parse_constant=refuse)
    assert found == {"a": [1.5, None, [None, "nan"]], "b": {"mean": None, "error": None, "items": 3}, "c": [True, 0]}


def test_every_command_prints_json_in_this_way() -> None:
    files: list[Path] = [path for path in (ROOT / "explorer" / "cli").rglob("*.py") if path.name != "json_text.py"]
    assert [path.name for path in files if "json.dump" in path.read_text()] == []
