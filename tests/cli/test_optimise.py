"""The command `optimise`: the picture of a unit, and one line for what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.cli.main import main

UNIT = ["optimise", "zfnet_mini", "--layer", "features.2", "--channel", "4", "--steps", "8"]


def test_the_picture_is_written_and_the_same_seed_writes_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again, other = (tmp_path / f"{name}.png" for name in ("first", "again", "other"))
    assert main([*UNIT, "--out", str(first)]) == 0
    assert "features.2, channel 4: activation" in capsys.readouterr().out
    assert main([*UNIT, "--out", str(again)]) == 0
    assert main([*UNIT, "--seed", "1", "--out", str(other)]) == 0
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    with Image.open(first) as picture:
        assert picture.size == (64, 64)
        assert np.asarray(picture).std() > 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--channel", "24"], "channel=24: layer 'features.2' has channels 0 to 23."),
        (["--position", "32,0"], "position=(32, 0): the maps of layer 'features.2' are 32×32."),
        (["--steps", "0"], "steps=0 is not from 1 to 4,096."),
        (["--layer", "nosuch"], "nosuch"),
        (["--out", "unit.jpg"], "--out 'unit.jpg' does not end in .png."),
    ],
)
def test_what_cannot_be_is_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*UNIT, "--out", str(tmp_path / "unit.png"), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())
