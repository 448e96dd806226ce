"""The pages, one file or package each; what defines `VIEW` (a package in its `page`) is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from explorer.ui.view import View


@cache
def discover() -> dict[str, View]:
    """All views by name, in the order that they declare."""
    names = (f"{found.name}.page" if found.ispkg else found.name for found in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    views = [module.VIEW for module in modules if hasattr(module, "VIEW")]
    return {view.name: view for view in sorted(views, key=lambda view: view.order)}
