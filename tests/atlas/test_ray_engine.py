"""A scan by Ray on this machine: killed half way and started again it ends with the file of a scan without Ray."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pyarrow.parquet
import pytest

from explorer.atlas import ray_engine, scan_folder
from explorer.atlas.scan_file import read_scan
from explorer.cli.main import main
from tests.atlas.test_scan import LAYERS, save_pictures
from tests.support.page import TRAINED
from tests.support.places import ROOT

COUNT, EVERY = 160, 20


def arguments(pictures: Path, out: Path, *more: str) -> list[str]:
    chosen = ["scan", TRAINED, str(pictures), "--layers", *LAYERS, "--batch", "8", "--every", str(EVERY)]
    return [*chosen, "--out", str(out), *more]


@contextlib.contextmanager
def by_ray(pictures: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own, all processes of which end with the block, Ray's among them."""
    command = [sys.executable, "-m", "explorer", *arguments(pictures, out, "--engine", "ray")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        command, cwd=ROOT, env=one_thread, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def rows(out: Path) -> list[str]:
    """The pictures whose rows are written, one for each time."""
    files = sorted((out / scan_folder.ROWS).glob("*.parquet"))
    return [path for file in files for path in pyarrow.parquet.read_table(file)["path"].to_pylist()]


def has_checkpoints(out: Path, count: int, process: subprocess.Popen[str]) -> bool:
    """Waits for so many; False where the scan has ended before they were seen."""
    while len(list((out / scan_folder.CHECKPOINTS).glob("*.parquet"))) < count:
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    return True


def killed_half_way(pictures: Path, folder: Path) -> Path:
    """The folder of a scan that was killed; another where a busy machine let it end before the kill came."""
    for attempt in range(3):
        out = folder / f"ray {attempt}"
        with by_ray(pictures, out) as process:
            if has_checkpoints(out, 2, process):
                process.kill()
            elif process.returncode:
                raise AssertionError(process.communicate()[0])
        if EVERY < len(set(rows(out))) < COUNT:
            return out
    raise AssertionError("three scans ended before they were killed")


@pytest.mark.timeout(300)
def test_killed_half_way_it_goes_on_to_the_same_bytes_as_without_ray(tmp_path: Path) -> None:
    pictures = save_pictures(tmp_path / "set", COUNT)
    (pictures / "1" / "0001a.png").write_text("not a picture")
    out = killed_half_way(pictures, tmp_path)
    assert not (out / scan_folder.RESULT).exists()
    assert read_scan(out / scan_folder.UNFINISHED).seen == 0
    with by_ray(pictures, out) as process:
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
    assert "skipped 1/0001a.png" in said
    assert main(arguments(pictures, tmp_path / "local")) == 0
    results = [(folder / scan_folder.RESULT).read_bytes() for folder in (out, tmp_path / "local")]
    assert results[0] == results[1]
    assert {path.name for path in out.iterdir()} == {scan_folder.RESULT, scan_folder.LOCK}


def test_the_embedded_set_is_no_folder_that_ray_could_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", TRAINED, "unseen", "--engine", "ray", "--out", str(tmp_path)]) == 2
    assert "--engine ray reads files: it takes a folder" in capsys.readouterr().err


def test_without_ray_installed_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(arguments(save_pictures(tmp_path / "set", 2), tmp_path / "out", "--engine", "ray")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: --engine ray needs Ray: pip install '.[ray]'."


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1"])
def test_a_cluster_that_is_not_there_is_named(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(arguments(save_pictures(tmp_path / "set", 2), tmp_path / "out", "--engine", "ray")) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: RAY_ADDRESS='{address}': no Ray cluster answers there."]


def test_an_address_is_asked_without_its_protocol_and_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[str, int]]()
    monkeypatch.setattr(socket, "create_connection", lambda place, timeout: asked.append(place) or MagicMock())
    for address in ("ray://head:10001", "[::1]:6379", "head:6379", "auto"):
        ray_engine._check_answers(address)
    assert asked == [("head", 10001), ("::1", 6379), ("head", 6379)]
