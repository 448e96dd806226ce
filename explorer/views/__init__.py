"""The pages, one file or package each; what defines `VIEW` (a package in its `page`) is found by itself.

EXPLORER_VIEWS lists more folders of such files, as PATH lists programs.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from functools import cache

from explorer.discovery import import_each
from explorer.ui.view import View

__path__ += [folder for folder in os.environ.get("EXPLORER_VIEWS", "").split(os.pathsep) if folder]


def discover() -> dict[str, View]:
    """All views by name, in the order that they declare."""
    return _found()[0]


def broken_files() -> tuple[str, ...]:
    """A sentence for each file of a page that fails on import."""
    return _found()[1]


@cache
def _found() -> tuple[dict[str, View], tuple[str, ...]]:
    names = (f"{found.name}.page" if found.ispkg else found.name for found in pkgutil.iter_modules(__path__))
    modules, broken = import_each(sys.modules[__name__], names)
    views = [module.VIEW for module in modules if hasattr(module, "VIEW")]
    return {view.name: view for view in sorted(views, key=lambda view: view.order)}, tuple(broken)
