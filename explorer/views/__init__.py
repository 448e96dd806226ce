"""The pages, one file or package each; what defines `VIEW` (a package in its `page`) is found by itself.

EXPLORER_VIEWS lists more folders of such files, as PATH lists programs.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from functools import cache

from explorer.ui.view import View

__path__ += [folder for folder in os.environ.get("EXPLORER_VIEWS", "").split(os.pathsep) if folder]


@cache
def discover() -> dict[str, View]:
    """All views by name, in the order that they declare."""
    names = (f"{found.name}.page" if found.ispkg else found.name for found in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    views = [module.VIEW for module in modules if hasattr(module, "VIEW")]
    return {view.name: view for view in sorted(views, key=lambda view: view.order)}
