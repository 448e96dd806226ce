"""The pictures of a folder, whose subfolders may name their classes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import ImageError

PICTURE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".jpe", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"))
MOST_FILES = 5_000_000  # of one folder: a list of more is a mistake in the path


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture on disk; name: its path below the folder, with "/"; label: the folder that it lies in, "" for none."""

    path: Path
    name: str
    label: str


def pictures_in(folder: Path) -> tuple[PictureFile, ...]:
    """All files below a folder that are called as pictures are, by name; hidden ones are passed over.

    What is in them is not looked at. Raises ImageError that names the folder, where there is none or it has no picture.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder." if folder.exists() else f"There is no folder {folder}.")
    found = sorted(_walk(folder), key=lambda file: file.name)
    if not found:
        raise ImageError(f"{folder} holds no pictures: no file in it ends in {', '.join(sorted(PICTURE_SUFFIXES))}.")
    return tuple(found)


def _walk(folder: Path) -> Iterator[PictureFile]:
    count = 0
    for parent, folders, files in os.walk(folder):  # which follows no links, so that it ends
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(parent, name)
            if path.suffix.lower() not in PICTURE_SUFFIXES or name.startswith("."):
                continue
            count += 1
            if count > MOST_FILES:
                raise ImageError(f"{folder} holds more than {MOST_FILES:,} pictures.")
            below = path.relative_to(folder)
            yield PictureFile(path, below.as_posix(), below.parent.name)
