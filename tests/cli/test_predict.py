"""`predict`: a picture, or a folder whose subfolders name the classes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from explorer.cli.main import main
from explorer.images.samples import sample
from tests.support.page import TRAINED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures in the folders of their classes, one in a wrong one, one that is broken."""
    for name, place in (("cat", "cat"), ("boat", "Boat"), ("fish", "cat")):
        (tmp_path / "set" / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(sample(name), tmp_path / "set" / place / f"{name}.png")
    (tmp_path / "set" / "cat" / "broken.png").write_text("not a picture")
    return tmp_path / "set"


def test_a_folder_gives_a_table_accuracy_and_the_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "rows.csv"
    assert main(["predict", TRAINED, str(folder), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1 of 4 pictures could not be looked at." in said
    assert "Right: 66.67 % of 3" in said
    assert "cat/fish.png: fish" in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith("is cat")
    rows = {row["picture"]: row for row in csv.DictReader(out.open(encoding="utf-8"))}
    assert rows["Boat/boat.png"]["truth"] == rows["Boat/boat.png"]["answer"] == "boat"
    assert "broken.png is not a picture" in rows["cat/broken.png"]["problem"]


def test_json_holds_all_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", TRAINED, str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"] == pytest.approx(2 / 3)
    assert set(told["confusion"]["classes"]) == {"boat", "cat", "fish"}
    assert sum(map(sum, told["confusion"]["counts"])) == 3
    assert [len(row["classes"]) for row in told["pictures"]] == [5, 0, 5, 5]


def test_one_sample_is_told_by_its_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", TRAINED, "boat"]) == 0
    assert capsys.readouterr().out.startswith("boat: boat ")


@pytest.mark.parametrize("arguments", [["nothing_here"], [str(Path(__file__).parent)]])
def test_what_is_not_there_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", TRAINED, *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert arguments[0].rsplit("/", 1)[-1] in said
