"""`train --checkpoints`: the weights after chosen epochs, exact after a stop, judged, and what is refused."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import models
from explorer.errors import Cancelled, UserError
from explorer.training import dataset, train
from explorer.training.batches import labelled_pictures
from explorer.training.run import Recipe

PRESET, STEPS_PER_EPOCH = "nin_mini", 2


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few unseen items, and all pictures drawn here: starting processes takes longer than drawing them."""
    monkeypatch.setattr(train, "EVALUATION_ITEMS", 24)
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def run(folder: Path, **options: Any) -> dict[str, Any]:
    given = {"epochs": 3, "items": 24, "recipe": Recipe(batch=16), "device": "cpu", "checkpoints": (1, 3), **options}
    return train.train(PRESET, folder=folder, **given)


def stop_after(folder: Path, step: int) -> None:
    stop = threading.Event()
    with pytest.raises(Cancelled):
        run(folder, progress=lambda told: stop.set() if told.epoch and told.done == step else None, cancel=stop.is_set)


def kept(folder: Path, epoch: int) -> Path:
    return folder / "weights" / f"{PRESET}-epoch{epoch}.safetensors"


def test_the_weights_are_those_that_the_network_had_after_the_epoch(tmp_path: Path) -> None:
    stop_after(tmp_path, STEPS_PER_EPOCH)
    then = load_file(tmp_path / PRESET / "checkpoint.safetensors")
    row = run(tmp_path)
    first, last, end = (load_file(p) for p in (kept(tmp_path, 1), kept(tmp_path, 3), kept(tmp_path, 1).with_name(
        f"{PRESET}.safetensors")))  # fmt: skip
    assert all(torch.equal(tensor, then[f"model.{name}"].to(tensor.dtype)) for name, tensor in first.items())
    assert all(torch.equal(tensor, end[name]) for name, tensor in last.items())
    with safe_open(kept(tmp_path, 1), "pt") as file:
        assert (file.metadata()["preset"], file.metadata()["epoch"]) == (PRESET, "1")
    assert row["command"].endswith("--items 24 --checkpoints 1,3")
    unseen, module = (
        labelled_pictures(10**6, 24, 64, tmp_path / "pictures"),
        models.build(PRESET, num_classes=len(dataset.CLASSES)),
    )
    module.load_state_dict(first)
    assert row["checkpoints"] == {"1": train.evaluate(module.eval(), unseen), "3": row["accuracy"]}


def test_a_run_that_was_stopped_writes_the_same_bytes(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(whole)
    for step in (1, STEPS_PER_EPOCH, 5):
        stop_after(stopped, step)
    run(stopped)
    assert [kept(whole, epoch).read_bytes() == kept(stopped, epoch).read_bytes() for epoch in (1, 3)] == [True, True]


def test_weights_that_were_not_kept_in_time_are_refused(tmp_path: Path) -> None:
    run(tmp_path, checkpoints=(3,))
    with pytest.raises(UserError, match=r"is of a run with checkpoints=\[3\], not \[1, 3\]; restart"):
        run(tmp_path)
    (tmp_path / PRESET / f"{PRESET}-epoch3.safetensors").unlink()
    with pytest.raises(UserError, match=r"epoch3\.safetensors is missing or damaged; restart the training"):
        run(tmp_path, checkpoints=(3,))


@pytest.mark.parametrize("epoch", [0, 4])
def test_an_epoch_that_is_not_trained_is_refused(tmp_path: Path, epoch: int) -> None:
    with pytest.raises(UserError, match=rf"^checkpoints: {epoch} is not between 1 and 3, the epochs\.$"):
        run(tmp_path, checkpoints=(1, epoch))
