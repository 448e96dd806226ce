"""What is written is written whole: a kill at any step leaves the old file or the new one, and no litter for long."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer import whole_file
from explorer.whole_file import PREFIX, drafts, remove_abandoned, write_together, write_whole
from tests.support.killed import deaths

OLD, NEW = b"old" * 100, b"new" * 200


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_kill_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    write, found = (lambda: write_whole(path, lambda draft: draft.write_bytes(NEW))), list[bytes]()
    for _ in deaths(lambda: path.write_bytes(OLD), write):
        found.append(path.read_bytes())
    assert set(found) == {OLD, NEW}
    assert len(found) > 5
    write()
    assert names(tmp_path) == {path.name}


def generation(folder: Path, sign: str, *files: str) -> dict[str, bytes]:
    """A set of files of which the last tells the others' content."""
    return {**{name: f"{name} {sign}".encode() for name in files}, "summary": f"{sign}: {' '.join(files)}".encode()}


@pytest.mark.parametrize("first", [True, False])
def test_a_kill_at_any_step_leaves_no_summary_beside_files_that_it_does_not_describe(
    first: bool, tmp_path: Path
) -> None:
    old, new = generation(tmp_path, "old", "a", "b", "gone"), generation(tmp_path, "new", "a", "b", "c")
    seen = set[str]()

    def prepare() -> None:
        for path in tmp_path.iterdir():
            if path.is_file():
                path.unlink()
        if not first:
            write_together(tmp_path, old)

    for _ in deaths(prepare, lambda: write_together(tmp_path, new, obsolete=["gone"])):
        if (tmp_path / "summary").exists():
            sign, listed = (tmp_path / "summary").read_text().split(": ")
            described = {"old": old, "new": new}[sign]
            there = {name: (tmp_path / name).read_bytes() for name in names(tmp_path) if not name.startswith(PREFIX)}
            assert there == described
            assert {*listed.split(), "summary"} == there.keys()
        seen.add(sign if (tmp_path / "summary").exists() else "none")
    assert seen == ({"none", "new"} if first else {"old", "none", "new"})
    write_together(tmp_path, new)
    assert names(tmp_path) == new.keys()


def test_what_a_writer_raises_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(OLD)

    def half(draft: Path) -> None:
        draft.write_bytes(NEW[:7])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == {path.name}


@pytest.mark.parametrize("together", [True, False])
def test_content_reaches_the_disk_before_the_name(
    together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a loss of power may leave the new name with no content: seen in the order of the calls."""
    synced, calls, real, replace = set[int](), list[str](), os.fsync, Path.replace

    def fsync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real(handle)

    def renamed(path: Path, target: Path) -> Path:
        assert path.stat().st_ino in synced
        calls.append(f"rename {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    if together:
        write_together(tmp_path, {"a": NEW, "b": NEW, "summary": NEW})
        renames = ["rename a", "rename b", "folder", "rename summary", "folder"]
        assert calls == ["file", "file", "file", "folder", *renames]
    else:
        write_whole(tmp_path / "a", lambda draft: draft.write_bytes(NEW))
        assert calls == ["file", "rename a", "folder"]


def ended() -> int:
    """The id of a process that has ended."""
    return int(subprocess.check_output([sys.executable, "-c", "import os; print(os.getpid())"]))


def test_drafts_are_removed_when_their_process_has_ended_and_live_ones_are_kept(tmp_path: Path) -> None:
    with drafts(tmp_path) as live:
        (live / "part").write_bytes(NEW)
        left = live.with_name(live.name.replace(f"-{os.getpid()}-", f"-{ended()}-"))
        elsewhere = live.with_name(live.name.replace(whole_file._host(), "0" * 8))
        for room in (left, elsewhere):
            room.mkdir()
            (room / "part").write_bytes(NEW)
        (tmp_path / f"{PREFIX}-notes").write_text("a person's own")
        remove_abandoned(tmp_path)
        assert names(tmp_path) == {live.name, elsewhere.name, f"{PREFIX}-notes"}
        assert (live / "part").read_bytes() == NEW


@pytest.mark.parametrize("part_is_old", [True, False])
def test_drafts_that_nobody_wrote_to_for_a_day_are_removed(part_is_old: bool, tmp_path: Path) -> None:
    """Whosever id the process's has become, and whatever machine they are of."""
    with drafts(tmp_path) as room:
        (room / "part").write_bytes(NEW)
        two_days_ago = time.time() - 2 * whole_file.FORGOTTEN_S
        for path in (room / "part", room) if part_is_old else (room,):
            os.utime(path, (two_days_ago, two_days_ago))
        remove_abandoned(tmp_path)
        assert room.exists() is not part_is_old


@pytest.mark.parametrize("write", [
    lambda path: write_whole(path, lambda draft: draft.write_bytes(NEW)),
    lambda path: write_together(path.parent, {"a": NEW, path.name: NEW}),
])  # fmt: skip
def test_what_is_no_file_is_not_replaced(write: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(OSError, match=re.escape(repr(str(tmp_path / name)))):
            write(tmp_path / name)
    assert names(tmp_path) == {"folder", "pipe"}


def test_a_file_keeps_its_rights_and_a_link_its_place(tmp_path: Path) -> None:
    def write(draft: Path) -> None:
        draft.unlink()
        os.close(os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600))  # as safetensors does

    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode
    write_whole(tmp_path / "fresh", write)
    assert (tmp_path / "fresh").stat().st_mode == usual
    (tmp_path / "plain").chmod(0o640)
    (tmp_path / "link").symlink_to("plain")
    write_whole(tmp_path / "link", write)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o640
