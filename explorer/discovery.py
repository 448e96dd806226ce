"""Files that are found by themselves: families, blocks and pages. One that fails is left out and told of.

Standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType


def import_each(names: Iterable[str]) -> tuple[list[ModuleType], list[str]]:
    """The modules of these dotted names, and a sentence for each that cannot be imported: its file and the reason."""
    modules: list[ModuleType] = []
    broken: list[str] = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except Exception as error:  # whatever a person's file raises: the other files go on
            broken.append(_sentence(name, error))
    return modules, broken


def _sentence(name: str, error: Exception) -> str:
    found = importlib.util.find_spec(name)
    reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    told = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return f"{found.origin if found else name} is left out, because it fails on import ({told}): mend it or remove it."
