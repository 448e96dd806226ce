"""The files that come with the program: trained weights, sample pictures, icons. Standard library only."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path


def asset(*names: str) -> Path:
    """The path of a file or folder of the assets, whether or not it is there."""
    return _folder().joinpath(*names)


def app_script() -> Path:
    """The script that Streamlit runs.

    An installation has it in a folder of its own: Streamlit puts the script's folder first on the path of imports,
    where explorer's types.py would hide the standard library's.
    """
    return (_package() / "app" if _is_installed() else _package().parent) / "app.py"


def missing_assets() -> str | None:
    """The sentence that says which folder an installation has lost, and what to do; None where it is there."""
    if _folder().is_dir():
        return None
    return f"{_folder()} is missing, and with it sample pictures and trained weights: install cnn-explorer again."


@cache
def _folder() -> Path:
    """Package data of an installation; in a checkout, which the package is imported from, the folder beside it."""
    return (_package() if _is_installed() else _package().parent) / "assets"


def _is_installed() -> bool:
    """Whether this is an installation, and no checkout with the app and the assets beside the package."""
    return (_package() / "app").is_dir()


def _package() -> Path:
    return Path(str(files("explorer")))
