"""What the guides for contributors say is so: files, names, commands and make's targets are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import models
from tests.support.places import ROOT

TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")}
CONTRIBUTING = TEXTS["CONTRIBUTING.md"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
TARGETS = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[0].split()
AT_FIRST = ("app.py", "assets", "explorer", "models", "tests")
ROOMS = [
    str(file.parent.relative_to(ROOT))
    for room in ("models", "explorer")
    for file in (ROOT / room).glob("*/__init__.py")
]  # fmt: skip


def paths(text: str) -> set[str]:
    """What a text names in code as a path of this project."""
    named = {word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()}
    return {
        name for name in named if re.fullmatch(rf"({'|'.join(AT_FIRST)})(/\S*)?|\w+\.(md|toml|py)|\.[a-z]\S+", name)
    }


def drawn(tree: str) -> set[str]:
    """The paths of a tree of folders, two spaces a level."""
    found: set[str] = set()
    parents: list[str] = []
    for line in tree.splitlines():
        level, name = (len(line) - len(line.lstrip())) // 2, line.split()[0].rstrip("/")
        parents = [*parents[:level], name]
        found.add("/".join(parents))
    return found


def hidden(name: str) -> bool:
    return name.startswith(".venv")  # made by make


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_a_guide_names_is_there(name: str) -> None:
    named = paths(TEXTS[name])
    assert named or name == "CHANGELOG.md"
    assert [path for path in sorted(named) if not hidden(path) and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_to_files_that_are_there(name: str) -> None:
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", TEXTS[name])
    assert [path for path in linked if not (ROOT / path).exists()] == []


def test_the_map_of_the_readme_has_a_line_for_every_room_and_fits_on_a_screen() -> None:
    (tree,) = re.findall(r"## The house.+?```\n(.+?)```", TEXTS["README.md"], re.DOTALL)
    assert [path for path in sorted(drawn(tree)) if not (ROOT / path).exists()] == []
    assert sorted({*ROOMS, *AT_FIRST} - drawn(tree)) == []
    assert len(tree.splitlines()) <= 25
    assert all(len(line.split(maxsplit=1)) == 2 for line in tree.splitlines()), "each says what it is for"


@pytest.mark.parametrize("file", ["CONTRIBUTING.md", ".pre-commit-config.yaml", "CHANGELOG.md"])
def test_guides_and_hooks_call_targets_that_exist(file: str) -> None:
    named = set(re.findall(r"(?:^|`|entry: )make ([a-z]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= set(TARGETS)


def test_hooks_run_in_the_projects_own_environment() -> None:
    assert re.findall(r"entry: (.+)", HOOKS) == ["make format", "make lint"]
    assert re.findall(r"repo: (.+)", HOOKS) == ["local"], "nothing is downloaded"


def test_make_help_describes_every_target() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    described = dict(re.findall(r"^make ([a-z]+) +(\S.+)$", done.stdout, re.MULTILINE))
    assert sorted(described) == sorted(TARGETS)
    assert all(len(text) > 20 for text in described.values())


def test_what_the_guide_names_of_the_code_is_there() -> None:
    """Names in backticks, and folders that the environment lists."""
    code = "\n".join(file.read_text(encoding="utf-8") for room in AT_FIRST for file in _code(ROOT / room))
    prose = re.sub(r"```.+?```", "", CONTRIBUTING, flags=re.DOTALL)
    names = set(re.findall(r"`([A-Za-z_]\w+)[(`]", prose))
    names = {name for name in names if not name.endswith("NAME")} - {"PATH"}
    assert {"EXPLORER_FAMILIES", "EXPLORER_VIEWS", "NetSpec", "_RULES", "EXACT", "adapter"} <= names
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code)] == []


def _code(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def test_a_block_is_an_anynet_preset_of_the_contest_as_the_guide_says() -> None:
    for block in models.blocks():
        assert models.preset(f"anynet_mini_{block.name}").compact
