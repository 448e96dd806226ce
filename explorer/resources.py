"""The files that come with the program: trained weights, sample pictures, icons. Standard library only."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path


def asset(*names: str) -> Path:
    """The path of a file or folder of the assets, whether or not it is there."""
    return _folder().joinpath(*names)


@cache
def _folder() -> Path:
    """Package data of an installation; in a checkout, which the package is imported from, the folder beside it."""
    package = Path(str(files("explorer")))
    installed = package / "assets"
    return installed if installed.is_dir() else package.parent / "assets"
