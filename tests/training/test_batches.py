"""The pictures that networks are trained on: drawn once and kept, augmented, normalised."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from explorer.errors import Cancelled
from explorer.training import dataset
from explorer.training.batches import augment, drawing_version, labelled_pictures, normalise


def test_pictures_are_kept_and_the_same_for_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = ModuleType("__main__")  # as under Streamlit, a script that must not run once more in each process
    script.__file__ = str(tmp_path / "gone.py")
    monkeypatch.setitem(sys.modules, "__main__", script)
    alone = labelled_pictures(3, 130, 16, tmp_path / "a", workers=1)
    together = labelled_pictures(3, 130, 16, tmp_path / "b", workers=2)
    assert torch.equal(alone.images, together.images)
    assert torch.equal(alone.labels, together.labels)
    file = next((tmp_path / "a").iterdir())
    assert drawing_version() in file.name
    save_file({"images": alone.images[:1], "labels": alone.labels[:1]}, file)
    assert len(labelled_pictures(3, 130, 16, tmp_path / "a").labels) == 1


def test_damaged_pictures_are_drawn_anew(tmp_path: Path) -> None:
    first = labelled_pictures(3, 5, 16, tmp_path)
    file = next(tmp_path.iterdir())
    for damaged in (file.read_bytes()[:-9], b""):
        file.write_bytes(damaged)
        assert torch.equal(labelled_pictures(3, 5, 16, tmp_path).images, first.images)
    assert len(load_file(file)["labels"]) == 5


def test_drawing_stops_when_cancelled(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        labelled_pictures(3, 20, 16, tmp_path, cancel=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_augmentation_keeps_range_and_follows_its_generator() -> None:
    images = torch.rand(32, 3, 32, 32)
    one, two, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.shape == images.shape
    assert one.min() >= 0
    assert one.max() <= 1
    changed = (one - images).abs().mean((1, 2, 3))
    assert (changed > 0.01).all()


def test_erased_squares_are_gray_and_in_about_half_the_pictures() -> None:
    # A red picture stays red under mirror, turn, zoom, shift and light: only an erased square is gray.
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(400, 3, 32, 32)
    seen = augment(red, torch.Generator().manual_seed(0))
    gray = (seen[:, 0] - seen[:, 1]).abs() < 1e-6
    share = gray.float().mean((1, 2))
    assert 0.4 < (share > 0).float().mean() < 0.6
    assert share.max() < 0.36**2
    rows, columns = gray.any(2).sum(1), gray.any(1).sum(1)
    assert torch.equal(gray.sum((1, 2)), rows * columns)
    assert (rows - columns).abs().max() <= 1


def test_normalised_pictures_have_mean_0_and_deviation_1() -> None:
    images, _ = dataset.to_tensor_batch(5, 0, 96)
    values = normalise(images.float().div(255))
    assert values.mean((0, 2, 3)).abs().max() < 0.1
    assert (values.std((0, 2, 3)) - 1).abs().max() < 0.1
