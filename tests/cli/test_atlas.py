"""The command `atlas`: units as figure 2 draws them, of what is shipped or of a scan, and one line for bad input."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.cli.main import main

UNITS = ["atlas", "zfnet_mini", "--units", "features.2:3", "features.6:0"]


def test_units_are_drawn_with_projections_left_and_patches_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*UNITS, "--out", str(tmp_path / "units.png")]) == 0
    assert "2 units, three to a row" in capsys.readouterr().out
    with Image.open(tmp_path / "units.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    block = 3 * 36 + 2
    assert pixels.shape == (block, 2 * (2 * block + 2) + 12, 3)
    projections, patches = pixels[:, 240 : 240 + block], pixels[:, -block:]
    assert abs(np.median(projections) - 128) < 3, "gray is 0"
    assert patches.std() > 30


def test_a_scan_of_ones_own_is_drawn_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        colours = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(colours).save(photos / f"{number}.png")
    scan = ["scan", "zfnet_mini", str(photos), "--layers", "features.2", "--out", str(tmp_path / "scan")]
    assert main(scan) == 0
    drawn = ["atlas", "zfnet_mini", "--units", "features.2:3", "--scan", str(tmp_path / "scan")]
    assert main([*drawn, "--pictures", str(photos), "--out", str(tmp_path / "own.png")]) == 0
    assert "note:" not in capsys.readouterr().err
    copied = shutil.copytree(photos, tmp_path / "copied", copy_function=shutil.copyfile)
    os.utime(copied / "1.png", ns=(0, 0))
    assert main([*drawn, "--pictures", str(copied), "--out", str(tmp_path / "copied.png")]) == 0
    assert "have other times than when they were scanned" in capsys.readouterr().err
    assert (tmp_path / "copied.png").read_bytes() == (tmp_path / "own.png").read_bytes()
    (photos / "0.png").unlink()
    assert main([*drawn, "--pictures", str(photos), "--out", str(tmp_path / "changed.png")]) == 2
    assert not (tmp_path / "changed.png").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--units", "features.2:24"], "--units features.2:24: features.2 has channels 0 to 23."),
        (["--units", "features.2"], "is not of the form LAYER:CHANNEL."),
        (["--units", "nosuch:1"], "nosuch"),
        (["--units", "input:1"], "layer='input' was not scanned"),
        (["--weights", "random"], "The scan is of other weights than these of zfnet_mini: scan it again."),
        (["--mean", "0", "--std", "1"], "The scan is of pictures prepared otherwise ("),
        (["--scan", "nosuch"], "nosuch"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*UNITS, *options, "--out", str(tmp_path / "units.png")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())


def test_a_network_without_a_scan_says_which_have_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["atlas", "squeezenet_mini", "--units", "a:1", "--out", str(tmp_path / "units.png")]) == 2
    assert "No scan of squeezenet_mini comes with the program; zfnet_mini" in capsys.readouterr().err
