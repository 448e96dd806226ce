"""The commands below `paper`: the picture of figure 7 with its figures, table 1, and one line for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from explorer.cli.main import main

HIDING = ["paper", "occlusion", "zfnet_mini", "cat", "--stride", "20", "--others", "12"]


def test_figure_7_is_written_with_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figure7.png"
    assert main([*HIDING, "--out", str(out)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert json.loads(out.with_suffix(".json").read_text()) == said
    assert (said["target"], said["layer"], said["channel"]) == ("cat", "features.16", 51)
    assert len(said["others"]) == 3
    assert said["others"] == sorted(said["others"], key=lambda each: -each["activation"])
    with Image.open(out) as picture:
        width, height = picture.size
    assert width > 5 * 500 > height


def test_table_1_is_said_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["paper", "correspondence", "zfnet_mini", "--parts-of", "tree", "--groups", "2"]
    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["features.3", "features.7"]
    assert lines[-1].startswith("In classifier.5, changes by hidden parts differ")
    assert main([*asked, "--layers", "features.7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["part"] for each in found] == ["trunk", "crown", "fruits"]
    assert {each["layer"] for each in found} == {"features.7"}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([*HIDING, "--out", "figure.jpg"], "--out 'figure.jpg' does not end in .png."),
        ([*HIDING, "--others", "5000", "--out", "figure.png"], "--others 5000: there are 2,000 unseen pictures."),
        ([*HIDING, "--layer", "nosuch", "--out", "figure.png"], "nosuch"),
        ([*HIDING, "--target", "dog", "--out", "figure.png"], "--target 'dog' is no class"),
        (["paper", "correspondence", "zfnet_mini", "--parts-of", "dog"], "'dog' is not a class of the picture set"),
        (["paper", "correspondence", "zfnet_mini", "--groups", "0"], "groups=0 is not from 1 to 100."),
        (["paper", "nosuch"], "nosuch"),
    ],
)
def test_what_cannot_be_is_one_line(
    command: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not list(tmp_path.iterdir())
