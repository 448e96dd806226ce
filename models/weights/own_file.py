"""A person's file of weights, whatever its kind: made ready to be read as safetensors, which a pickle first becomes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import WeightsError
from models.weights.convert_checkpoint import convert
from models.weights.header import Header, read

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")  # small; large ones are the same


@dataclass(frozen=True)
class OwnFile:
    """A file that can be read as safetensors: where it is, and what its header says.

    room: the folder in which a converted one lies; it is removed with the last that refers to it.
    """

    name: str
    path: Path
    header: Header
    room: Any = field(default=None, repr=False, compare=False)


def looks_like_a_file(text: str) -> bool:
    """Whether a choice of weights is a file's path and no name."""
    return text.lower().endswith(SUFFIXES) or Path(text).is_file()


def open_own(path: Path, name: str | None = None, cancel: Callable[[], bool] = lambda: False) -> OwnFile:
    """Make a file ready: a checkpoint of torch's is converted in a child process, which takes seconds.

    name: what sentences call it. Raises WeightsError that names it, Cancelled.
    """
    name = path.name if name is None else name
    if is_safetensors(path, name):
        return OwnFile(name, path, read(name, path))
    room = tempfile.TemporaryDirectory(prefix="cnn-explorer-")
    target = Path(room.name) / "weights.safetensors"
    convert(path, target, cancel, name)
    return OwnFile(name, target, read(name, target), room)


def open_upload(content: bytes, name: str, cancel: Callable[[], bool] = lambda: False) -> OwnFile:
    """The same of a file that came by the browser."""
    room = tempfile.TemporaryDirectory(prefix="cnn-explorer-")
    path = Path(room.name) / "uploaded"
    path.write_bytes(content)
    found = open_own(path, name, cancel)
    return found if found.room else OwnFile(name, path, found.header, room)


def is_safetensors(path: Path, name: str) -> bool:
    """Whether a file is to be read as safetensors: by how it begins, and by its suffix where that says nothing."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its path is no valid one"
        raise WeightsError(f"{name} cannot be read: {reason}.") from None
    is_pickle = start.startswith((b"PK\x03\x04", b"\x80"))
    return start[8:] == b"{" or (name.lower().endswith(".safetensors") and not is_pickle)
