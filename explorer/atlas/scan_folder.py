"""A scan that lives in a folder: one at a time, kept as it goes, gone on with where it was stopped."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from filelock import FileLock, Timeout

from explorer.atlas.picture_sets import PictureSet
from explorer.atlas.scan import with_names
from explorer.atlas.scan_file import Scan, ScanSubject, read_scan, write_scan
from explorer.errors import UserError, shown

RESULT, UNFINISHED, LOCK = "scan.safetensors", "unfinished.safetensors", ".scan.lock"
ROWS, CHECKPOINTS = "ray-rows", "ray-checkpoints"  # folders of a scan by Ray
KEEP_EVERY = 1_000  # pictures, by default
_CHANGED = "files were replaced, added or removed since, as names, sizes and times tell"
OnScan = Callable[[int, int, float], object]  # pictures seen, pictures in all, seconds left


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Have a folder, which is made where it is missing, for this scan alone.

    Raises UserError where another scan is at work there, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise UserError(f"--out {str(folder)!r}: another scan is at work in this folder.") from None


def kept(folder: Path, subject: ScanSubject) -> Scan | None:
    """What an earlier scan of the same subject left, whole or unfinished; None where the folder has none.

    Raises UserError where it is the scan of something else, or damaged.
    """
    for name in (RESULT, UNFINISHED):
        if (folder / name).exists():
            found = read_scan(folder / name)
            _check_same(folder / name, found.subject, subject)
            return found
    return None


def _check_same(path: Path, old: ScanSubject, new: ScanSubject) -> None:
    for each in fields(ScanSubject):
        was, now = getattr(old, each.name), getattr(new, each.name)
        if was != now:
            how = _CHANGED if each.name == "pictures_digest" else f"{_short(was)}, not {_short(now)}"
            raise UserError(
                f"{path} is a scan of other {each.name.removesuffix('_digest')} ({how}); choose another folder, or "
                "scan all of them again with --restart."
            )


def _short(value: object) -> str:
    return f"{len(value)} layers" if isinstance(value, tuple) else shown(value, 30)


def forget(folder: Path) -> bool:
    """Remove what an earlier scan left; whether there was any. Raises OSError."""
    was_there = any((folder / name).exists() for name in (RESULT, UNFINISHED, ROWS))
    (folder / RESULT).unlink(missing_ok=True)
    _forget_unfinished(folder)
    return was_there


def _forget_unfinished(folder: Path) -> None:
    for name in (ROWS, CHECKPOINTS):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / UNFINISHED).unlink(missing_ok=True)


def scan_into(
    folder: Path,
    steps: Iterator[Scan],
    pictures: PictureSet,
    before: Scan | None = None,
    *,
    every: int = KEEP_EVERY,
    progress: OnScan | None = None,
) -> Scan:
    """Take the steps of a scan of pictures, keep what there is every so many of them, and at the end the whole.

    before: what the steps go on from. Raises UserError where there is no room for it: what was kept before stays.
    """
    started, first, scan = time.monotonic(), before.seen if before else 0, before
    kept_at = first
    for scan in steps:
        if progress is not None:
            seconds = (time.monotonic() - started) / (scan.seen - first)
            progress(scan.seen, scan.subject.total, seconds * (scan.subject.total - scan.seen))
        if scan.seen - kept_at >= every and not scan.is_complete:
            keep(folder, with_names(scan, pictures))
            kept_at = scan.seen
    assert scan is not None
    whole = with_names(scan, pictures)
    keep(folder, whole)
    return whole


def keep(folder: Path, scan: Scan) -> None:
    """Keep a scan, whole or unfinished, in its folder; the whole one takes the place of what was not.

    Raises UserError where there is no room for it: what was kept before stays.
    """
    _keep(folder / (RESULT if scan.is_complete else UNFINISHED), scan)
    if scan.is_complete:
        _forget_unfinished(folder)


def _keep(path: Path, scan: Scan) -> None:
    try:
        write_scan(path, scan)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}. What was kept before stays: start the same scan "
            "again, and it goes on from there."
        ) from None
