"""The sample pictures that come with the program."""

from __future__ import annotations

from pathlib import Path

from explorer.errors import ImageError
from explorer.resources import asset, missing_assets


def samples() -> dict[str, Path]:
    """The file of each sample picture by its name; none where the assets are missing."""
    return {path.stem: path for path in sorted(asset("samples").glob("*.png"))}


def sample(name: str) -> Path:
    """The file of a sample picture. Raises ImageError that names it, where it is not there."""
    found = samples().get(name)
    if found is None:
        raise ImageError(missing_assets() or f"There is no sample picture {name!r}: there are {', '.join(samples())}.")
    return found
