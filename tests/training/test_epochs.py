"""The epochs of a training as files: found, read, and refused where they are missing or damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from explorer.errors import UserError
from explorer.training.epochs import SHIPPED_EPOCHS, epoch_files, epochs_row, load_epochs
from explorer.training.train import trained_spec


def test_each_network_has_the_weights_of_its_file() -> None:
    for epoch, program in load_epochs().items():
        expected = load_file(SHIPPED_EPOCHS / f"zfnet_mini-epoch{epoch}.safetensors")
        own = program.module.state_dict()
        assert all(torch.equal(own[name], tensor.to(own[name].dtype)) for name, tensor in expected.items())
        assert not program.module.training


def test_they_are_small_and_their_row_says_how_they_came_about() -> None:
    row, files = epochs_row(), epoch_files()
    assert sum(path.stat().st_size for path in files.values()) <= 10e6
    assert list(row["checkpoints"]) == [str(epoch) for epoch in files]
    assert row["command"].endswith("--checkpoints " + ",".join(row["checkpoints"]))
    assert list(row["checkpoints"].values()) == sorted(row["checkpoints"].values())
    assert row["params"] == sum(p.numel() for p in next(iter(load_epochs().values())).module.parameters())
    assert row["image_size"] == trained_spec("zfnet_mini").image_size


def test_a_folder_without_epochs_is_refused(tmp_path: Path) -> None:
    shutil.copy(SHIPPED_EPOCHS / "zfnet_mini-epoch1.safetensors", tmp_path)
    with pytest.raises(UserError, match="zfnet_mini after 1 epochs; at least 2 are needed"):
        load_epochs(folder=tmp_path)
    (tmp_path / "zfnet_mini-epoch2.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"^zfnet_mini-epoch2\.safetensors is not a safetensors file"):
        load_epochs(folder=tmp_path)
