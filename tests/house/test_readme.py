"""What the README shows, works as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from explorer.cli import main
from tests.support.places import ROOT, SAMPLES, WEIGHTS

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\.venv/bin/python -m explorer (.+)$", README, re.MULTILINE)


def test_the_notebook_example_runs():
    (code,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["analysis"].receptive_field.size == (523, 523)  # 427 + 3 blocks of 2 × 16 px
    assert names["maps"].shape == (64, 56, 56)
    assert names["occlusion"].probability.shape == (3, 3)


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if not c.startswith(("train ", "contest ", "serve ", "open "))]
)
def test_the_commands_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(WEIGHTS / "zfnet_mini.safetensors", "own.safetensors")
    shutil.copytree(SAMPLES, "photos")
    assert main.main(shlex.split(command)) == 0


def test_every_command_is_shown():
    subcommands = re.findall(r'commands\.add_parser\("(\w+)"', Path(main.__file__).read_text(encoding="utf-8"))
    assert {command.split()[0] for command in COMMANDS} == set(subcommands)
