"""The command `export`: one network, every format, one line about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

import models
from explorer.cli.main import main
from models.weights import header


@pytest.mark.parametrize("ending", ["py", "pt2", "safetensors", "json"])
def test_the_ending_says_the_format(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"network.{ending}"
    assert main(["export", "lenet_mini", "--out", str(path)]) == 0
    assert path.stat().st_size > 100
    assert capsys.readouterr().out.startswith(f"lenet_mini was written to {path}, as ")


def test_knobs_and_weights_are_those_of_the_command(tmp_path: Path) -> None:
    assert main(["export", "resnet_mini", "--set", "depths=1,1,1,1", "--out", str(tmp_path / "a.json")]) == 0
    said = json.loads((tmp_path / "a.json").read_text())
    assert said["spec"] == models.spec("resnet_mini", depths=(1, 1, 1, 1)).model_dump(mode="json")
    assert main(["export", "resnet_mini", "--to", "safetensors", "--out", str(tmp_path / "weights")]) == 0
    assert header.read("weights", tmp_path / "weights").classes is not None


def test_what_is_said_of_pictures_is_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "network.safetensors"
    options = [
        "--channels",
        "BGR",
        "--mean",
        "0.1,0.2,0.3",
        "--std",
        "0.5",
        "--fit",
        "pad",
        "--interpolation",
        "bicubic",
    ]
    assert main(["export", "lenet_mini", "--out", str(out), *options]) == 0, capsys.readouterr().err
    with safe_open(out, framework="pt") as file:
        said = file.metadata()
    assert (said["channels"], said["fit"], said["interpolation"]) == ("BGR", "pad", "bicubic")
    assert json.loads(said["mean"]) == pytest.approx([0.1, 0.2, 0.3])
    assert json.loads(said["std"]) == pytest.approx([0.5, 0.5, 0.5])


def test_a_block_goes_out_as_python(tmp_path: Path) -> None:
    assert main(["export", "block:mbconv", "--out", str(tmp_path / "mbconv.py")]) == 0
    assert "class MBConv" in (tmp_path / "mbconv.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lenet_mini", "--out", "a.tar"], "--out 'a.tar' does not end in .json or one of .py, .onnx"),
        (["torchvision:alexnet", "--out", "a.json"], "torchvision:alexnet has no hyperparameters to write"),
        (["nonet", "--out", "a.py"], "nonet"),
        (["lenet_mini", "--out", "a.json", "--channels", "BGR"], "--channels: a file of hyperparameters says nothing"),
        (["block:mbconv", "--out", "a.py", "--fit", "pad"], "--fit: a block takes no picture"),
        (["lenet_mini", "--out", "a.py", "--channels", "GBR"], "GBR"),
    ],
)
def test_bad_requests_are_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
