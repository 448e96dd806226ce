"""Files that are written whole: what a killed process leaves behind is the old file or the new one, never a part.

Everything is written in a folder of drafts beside its place, which the next writer there removes if its owner was
killed. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

PREFIX = ".cnn-explorer-draft"
# What nothing was written to for so long is nobody's, whoever has the process's id now.
FORGOTTEN_S = 24 * 3600.0


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Put what `write(draft)` writes at `path`, in place of an older file, with its folder where that is missing.

    The draft has the name of `path`, so that writers which go by the suffix do the same. Raises OSError.
    """
    path = path.resolve()  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_what_is_no_file(path)
    with drafts(path.parent) as room:
        draft = room / path.name
        draft.touch()
        mode = (path if path.exists() else draft).stat().st_mode & 0o777
        write(draft)
        _sync(draft)
        draft.chmod(mode)  # some writers make a file of their own, which its owner alone may read
        draft.replace(path)
        _sync(path.parent)


def write_together(folder: Path, contents: Mapping[str, bytes], obsolete: Iterable[str] = ()) -> None:
    """Put files that belong together into `folder`: the last of `contents` is never there beside other than its own.

    obsolete: names of an earlier set's files that this one lacks. Wherever this is broken off, either the old set is
    whole, or the last file is missing. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    *others, last = contents
    for name in contents:
        _refuse_what_is_no_file(folder / name)
    with drafts(folder) as room:
        for name, content in contents.items():
            (room / name).write_bytes(content)
            _sync(room / name)
        (folder / last).unlink(missing_ok=True)
        _sync(folder)
        for name in obsolete:
            (folder / name).unlink(missing_ok=True)
        for name in others:
            (room / name).replace(folder / name)
        _sync(folder)
        (room / last).replace(folder / last)
        _sync(folder)


@contextlib.contextmanager
def drafts(folder: Path) -> Iterator[Path]:
    """A new folder within `folder` for what is not whole yet, removed at the end; first what killed processes left."""
    remove_abandoned(folder)
    room = folder / f"{PREFIX}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    room.mkdir()
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove drafts in `folder` whose process has ended, or which nobody wrote to for a day."""
    for room in folder.glob(f"{PREFIX}-*-*-*"):
        _, host, pid, _ = room.name.removeprefix(PREFIX).split("-", 3)
        is_orphan = host == _host() and pid.isdecimal() and not _is_running(int(pid))
        if room.is_dir() and not room.is_symlink() and (is_orphan or _idle_s(room) > FORGOTTEN_S):
            shutil.rmtree(room, ignore_errors=True)


def _idle_s(room: Path) -> float:
    """Seconds since something was last written in a folder of drafts; 0 if it goes away meanwhile."""
    try:
        return time.time() - max(path.stat().st_mtime for path in (room, *room.iterdir()))
    except OSError:
        return 0.0


def _host() -> str:
    """This machine, told from others that share a folder: a process's id means nothing there."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 would end the process: there age alone counts
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _refuse_what_is_no_file(path: Path) -> None:
    """A device or a folder must not be replaced."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def _sync(path: Path) -> None:
    """Have the disk hold a file's content, or a folder's names, before what follows."""
    if os.name == "nt" and path.is_dir():  # which Windows does not let a program open
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
