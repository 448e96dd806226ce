"""The contest trains what is missing, in several processes, and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import models
from explorer.analysis.latency import Latency
from explorer.cli.main import main
from explorer.errors import Cancelled, UserError
from explorer.training import train
from explorer.training.batches import EVALUATION_ITEMS, EVALUATION_SEED, drawing_version
from explorer.training.contest import contest, entrants, measure_latencies
from explorer.training.processes import CONTEXT, in_processes
from tests.support.places import ROOT

NAMES, ITEMS = ["lenet_mini", "anynet_mini_fire"], 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with pictures of noise, so that none is drawn."""
    keep_noise(tmp_path, 0, ITEMS)
    keep_noise(tmp_path, EVALUATION_SEED, EVALUATION_ITEMS)
    return tmp_path


def keep_noise(folder: Path, seed: int, count: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8, generator=noise)
    path = folder / "pictures" / f"{seed}-{count}-64px-{drawing_version()}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file({"images": images, "labels": torch.arange(count) % 12}, path)


def table(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "weights" / "metrics.json").read_text())


def test_every_family_and_every_block_takes_part() -> None:
    families = {models.architecture_of(name).name for name in entrants()}
    assert families == {architecture.name for architecture in models.architectures()}
    assert {f"anynet_mini_{block.name}" for block in models.blocks()} <= set(entrants())


def test_only_what_is_missing_is_trained(folder: Path) -> None:
    row = train.train(NAMES[0], epochs=1, items=ITEMS, device="cpu", folder=folder)
    rows = contest(NAMES, epochs=1, items=ITEMS, workers=min(2, os.cpu_count() or 1), folder=folder)
    assert list(rows) == NAMES[1:]
    entered = table(folder)
    latencies = [each.pop("latency_ms") for each in entered.values()]
    assert len({each.pop("latency_on") for each in entered.values()}) == 1
    assert entered == {NAMES[0]: row, **rows}
    assert all(0 < found["1"] < found["32"] for found in latencies)
    assert load_file(folder / "weights" / f"{NAMES[1]}.safetensors")
    assert contest(NAMES, epochs=1, items=ITEMS, folder=folder) == {}


def test_a_network_that_fails_says_why_and_the_others_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / NAMES[0]).mkdir()
    (folder / NAMES[0] / "checkpoint.safetensors").write_bytes(b"not weights")
    assert main(["contest", *NAMES, "--epochs", "1", "--items", str(ITEMS), "--folder", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "2 of 2 networks" in said
    assert f"error: {NAMES[0]}: {folder / NAMES[0] / 'checkpoint.safetensors'} is not a checkpoint" in said
    assert list(table(folder)) == NAMES[1:]


def test_where_all_fail_whatever_the_reason_each_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(function: Any, *columns: Any, start: Any, arguments: Any, **_: Any) -> Any:
        start(*arguments)
        return map(function, *columns)

    monkeypatch.setattr("explorer.training.contest.in_processes", here)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    (folder / NAMES[0]).mkdir()
    (folder / NAMES[0] / "checkpoint.safetensors").write_bytes(b"not weights")
    (folder / NAMES[1]).write_text("a file where the folder should be")
    assert main(["contest", *NAMES, "--epochs", "1", "--items", str(ITEMS), "--folder", str(folder)]) == 2
    *_, first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: {NAMES[0]}: ")
    assert "is not a checkpoint" in first
    assert second.startswith(f"error: {NAMES[1]}: ")
    assert "Error: [Errno" in second
    assert not (folder / "weights" / "metrics.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"lenet_mini": 1}', "\udcff"])
def test_a_damaged_table_is_refused_before_anything_is_drawn(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights" / "metrics.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"metrics\.json is damaged"):
        contest(NAMES, folder=tmp_path)
    assert [found.name for found in tmp_path.iterdir()] == ["weights"]


def test_a_row_without_its_command_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({NAMES[0]: {"accuracy": 0.5}}))

    def drawn(*_: Any) -> None:
        raise Cancelled

    monkeypatch.setattr("explorer.training.contest.draw", drawn)
    with pytest.raises(Cancelled):
        contest(NAMES[:1], folder=tmp_path, out=tmp_path)


def test_latency_is_measured_of_the_network_that_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the picture set's classes, not the preset's; rows of networks that are not there are left as they are."""
    rows = {"lenet5": {"accuracy": 0.5}, "gone": {"accuracy": 0.4}}
    (tmp_path / "metrics.json").write_text(json.dumps(rows))
    measured: list[int] = []

    def measure(module: nn.Module, *_: Any, **__: Any) -> Latency:
        measured.append(module.eval()(torch.zeros(1, 1, 32, 32)).shape[1])
        return Latency(1, "cpu", 3, 0.002, 0.001, 0.003)

    monkeypatch.setattr("explorer.training.contest.latency.measure", measure)
    measure_latencies(tmp_path, lambda _: None, lambda: False)
    assert measured == [12, 12]
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["lenet5"]["latency_ms"] == {"1": 2.0, "32": 2.0}
    assert found["gone"] == rows["gone"]


def test_a_process_that_the_system_ends_is_one_sentence() -> None:
    with pytest.raises(UserError, match="workers=1: one was ended from outside"):
        list(in_processes(os._exit, [9], workers=1))


def children_of(*parents: int) -> set[int]:
    """The ids of the processes that these have started, and of those that they have."""
    listed = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid="], text=True).splitlines()
    pairs = [(int(pid), int(parent)) for pid, parent in map(str.split, listed)]
    found, new = set[int](), set(parents)
    while new := {pid for pid, parent in pairs if parent in new} - found:
        found |= new
    return found


def is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")  # one that ended and that nobody has waited for


def test_the_workers_of_a_killed_contest_end_with_it(folder: Path) -> None:
    """They train for an hour, were they left alone."""
    keep_noise(folder, 0, 256)
    options = ("--epochs", "1000", "--items", "256", "--folder", str(folder))
    command = [sys.executable, "-m", "explorer", "contest", *NAMES, *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stderr is not None
        assert next(line for line in parent.stderr if "epoch 2" in line)  # the checkpoint of the first is written
        workers = children_of(parent.pid)
        assert workers
        parent.kill()
        parent.wait()
        try:
            deadline = time.monotonic() + 30
            while any(map(is_running, workers)) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not list(filter(is_running, workers))
        finally:
            for worker in filter(is_running, workers):
                os.kill(worker, signal.SIGKILL)
    assert list(folder.glob("*/checkpoint.safetensors"))


def test_a_stopped_contest_trains_and_enters_nothing_more(folder: Path) -> None:
    stop = CONTEXT.Event()
    stop.set()
    with pytest.raises(Cancelled):
        contest(NAMES[:1], epochs=1, items=ITEMS, folder=folder, stop=stop)
    assert sorted(path.name for path in folder.iterdir()) == ["pictures"]


@pytest.mark.parametrize("workers", [0, 10_000])
def test_a_number_of_processes_out_of_range_is_refused(workers: int) -> None:
    with pytest.raises(UserError, match=f"workers={workers} is not between 1 and"):
        contest(NAMES, workers=workers)
