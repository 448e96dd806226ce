"""Files that are found by themselves: families, blocks and pages. One that fails is left out and told of.

Standard library only.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.machinery import PathFinder
from types import ModuleType


def import_each(package: ModuleType, names: Iterable[str]) -> tuple[list[ModuleType], list[str]]:
    """The modules of these names in a package, and of each that fails on import a sentence: its file and the reason."""
    modules: list[ModuleType] = []
    broken: list[str] = []
    for name in names:
        try:
            modules.append(importlib.import_module(f"{package.__name__}.{name}"))
        except (Exception, SystemExit) as error:  # whatever a person's file raises: the other files go on
            broken.append(_sentence(package, name, error))
    return modules, broken


def _sentence(package: ModuleType, name: str, error: BaseException) -> str:
    first = name.partition(".")[0]  # of a page that is a package: looking further would import it again
    found = PathFinder.find_spec(f"{package.__name__}.{first}", list(package.__path__))
    reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    told = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    where = found.origin if found else f"{package.__name__}.{name}"
    return f"{where} is left out, because it fails on import ({told}): mend it or remove it."
