"""The sets of pictures that a scan goes through: the embedded one that no network was trained on, and folders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from explorer.errors import UserError
from explorer.images import codec
from explorer.images.folder import pictures_in
from explorer.images.preprocess import Preprocessing
from explorer.training.batches import EVALUATION_ITEMS
from explorer.training.dataset import CLASSES
from explorer.training.unseen import unseen_class, unseen_item

UNSEEN_SET = "unseen"
DRAWN_PX = 64  # side of a picture of the embedded set, as the compact networks read it


class PictureSet(Protocol):
    """Pictures by number, from 0 on, in an order that stays."""

    @property
    def title(self) -> str:
        """What a person calls it: "unseen", or the folder's name."""
        ...

    @property
    def digest(self) -> str:
        """Another for other pictures, as far as the names, sizes and times of files tell."""
        ...

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """The picture's own name, which differs from those of the others."""
        ...

    def label(self, number: int) -> str:
        """The name of its class, "" where none is known."""
        ...

    def pixels(self, number: int) -> np.ndarray:
        """Its pixels, uint8 [H, W, 3]. Raises ImageError where it cannot be shown."""
        ...

    def view(self, number: int, preprocessing: Preprocessing) -> np.ndarray:
        """What of it comes to a network, uint8 [*crop, 3]. Raises ImageError."""
        ...

    def parts(self, number: int) -> Mapping[str, np.ndarray]:
        """Masks of its object's named parts, bool [H, W]; none where they are not known."""
        ...


@dataclass(frozen=True)
class UnseenPictures:
    """The first items of the embedded set that no network was trained on, `size_px` square. Raises UserError."""

    count: int = EVALUATION_ITEMS
    size_px: int = DRAWN_PX
    title: str = field(default=UNSEEN_SET, init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.count <= EVALUATION_ITEMS:
            raise UserError(f"count={self.count} is not from 1 to {EVALUATION_ITEMS:,}, the unseen items of the set.")

    def __len__(self) -> int:
        return self.count

    @property
    def digest(self) -> str:
        return f"{_drawn_digest(self.size_px)}-{self.count}-{self.size_px}px"

    def name(self, number: int) -> str:
        return f"{self.label(number)} {number}"

    def label(self, number: int) -> str:
        return unseen_class(number)

    def pixels(self, number: int) -> np.ndarray:
        return unseen_item(number, self.size_px).image

    def view(self, number: int, preprocessing: Preprocessing) -> np.ndarray:
        return preprocessing.view(self.pixels(number))

    def parts(self, number: int) -> Mapping[str, np.ndarray]:
        return unseen_item(number, self.size_px).parts


@lru_cache(maxsize=8)
def _drawn_digest(size_px: int) -> str:
    """Of a picture of each class: another where they are drawn otherwise, and not where the code alone has changed."""
    drawn = (unseen_item(number, size_px).image.tobytes() for number in range(len(CLASSES)))
    return hashlib.sha256(b"".join(drawn)).hexdigest()[:12]


_TIMES = "@"  # before the part of a digest that is of times


def has_same_files(one: str, other: str) -> bool:
    """Whether two digests are of the same pictures but for the times of their files, which a copy may lose."""
    return one.partition(_TIMES)[0] == other.partition(_TIMES)[0]


@dataclass(frozen=True, eq=False)
class FolderPictures:
    """The pictures below a folder by name; subfolders may name classes. Raises ImageError where there are none.

    Their names alone are held, so that a set of millions takes about a hundred bytes for each.
    """

    folder: Path
    names: tuple[str, ...] = field(init=False, repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        found, files, times = list[str](), hashlib.sha256(), hashlib.sha256()
        for file in pictures_in(self.folder):
            size_bytes, written_ns = _state(file.path)
            found.append(file.name)
            files.update(f"{file.name}\0{size_bytes}\0".encode(errors="surrogateescape"))
            times.update(f"{written_ns}\0".encode())
        object.__setattr__(self, "names", tuple(found))
        object.__setattr__(self, "digest", f"{files.hexdigest()[:16]}{_TIMES}{times.hexdigest()[:8]}")

    @property
    def title(self) -> str:
        return self.folder.resolve().name

    def __len__(self) -> int:
        return len(self.names)

    def name(self, number: int) -> str:
        return self.names[number]

    def label(self, number: int) -> str:
        return Path(self.names[number]).parent.name

    def pixels(self, number: int) -> np.ndarray:
        return codec.pixels_of(self.folder / self.names[number], self.names[number])

    def view(self, number: int, preprocessing: Preprocessing) -> np.ndarray:
        return preprocessing.view(codec.picture_of(self.folder / self.names[number], self.names[number]))

    def parts(self, number: int) -> Mapping[str, np.ndarray]:
        del number
        return {}


def _state(path: Path) -> tuple[int, int]:
    """Bytes, and when they were written, in ns; 0 of a link that leads nowhere, which is listed as a broken picture."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def picture_set(text: str, count: int | None = None) -> PictureSet:
    """The set of that name: "unseen", of which `count` are taken, or a folder. Raises UserError, ImageError."""
    if text == UNSEEN_SET and not Path(text).exists():
        return UnseenPictures() if count is None else UnseenPictures(count)
    return FolderPictures(Path(text))
