"""What is imported by name at run time: families, blocks and pages, and `models` beside a person's own `models`.

A file that fails is left out and told of. Standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
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


def foreign_models() -> str | None:
    """The file or folder that `import models` would give in place of this program's; None where it gives this one.

    `python -m`, a notebook's folder and PYTHONPATH come first, and a person may have a package of that name there.
    """
    spec = importlib.util.find_spec("models")
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    found = next((place for place in places if place), "no package")
    return None if Path(found).parent.parent == _ROOT else found


@contextmanager
def own_models() -> Iterator[None]:
    """Within it `import models` gives this program's package; behind it, a person's own again, where there is one.

    What was imported within goes on using what it imported.
    """
    theirs = _taken_away()
    sys.modules.update(_kept)
    finder = _OwnModels()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _kept.update(_taken_away())
        if theirs and not _is_own(theirs):
            sys.modules.update(theirs)
        elif foreign_models() is None:
            sys.modules.update(_kept)


class _OwnModels:
    """Finds the package `models` beside this one, wherever else there is one of that name."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        del path, target
        return PathFinder.find_spec(name, [str(_ROOT)]) if name == "models" else None


_ROOT = Path(__file__).parents[1]
_kept: dict[str, ModuleType] = {}  # this program's modules of that name, while a person's own stand in their place


def _is_own(found: dict[str, ModuleType]) -> bool:
    return Path(getattr(found["models"], "__file__", None) or "none").parent.parent == _ROOT


def _taken_away() -> dict[str, ModuleType]:
    """The modules of that name, which are no longer among those that are imported."""
    names = [name for name in sys.modules if name == "models" or name.startswith("models.")]
    return {name: sys.modules.pop(name) for name in names}
