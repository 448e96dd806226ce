"""The pages, one file each; a file that defines `VIEW` is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from explorer.ui.view import View


@cache
def discover() -> dict[str, View]:
    """All views by name, in the order that they declare."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    views = [module.VIEW for module in modules if hasattr(module, "VIEW")]
    return {view.name: view for view in sorted(views, key=lambda view: view.order)}
