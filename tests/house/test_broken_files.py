"""A file of a family or a page that fails on import is left out and told of; the rest works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import explorer
import models
from explorer.discovery import import_each
from explorer.views import broken_files, discover
from tests.house.test_new_family import TOY
from tests.support.places import ROOT

SCRIPT = """
import json
from streamlit.testing.v1 import AppTest

app = AppTest.from_file("app.py", default_timeout=60).run()
print(json.dumps({
    "title": app.title[0].value,
    "problems": [one.value for one in (*app.exception, *app.error)],
    "warnings": [one.value.replace("\\\\", "") for one in app.warning],
}))
"""

REASONS = {  # file → what the page says of it
    "cut_short.py": "SyntaxError",
    "needs_more.py": "No module named 'absent_library'",
    "stops": "SystemExit: not today",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "cut_short.py").write_text("import models\ndef half(\n", encoding="utf-8")
    (folder / "needs_more.py").write_text("import absent_library\n", encoding="utf-8")
    (folder / "stops").mkdir()
    (folder / "stops" / "__init__.py").write_text("raise SystemExit('not today')\n", encoding="utf-8")
    (folder / "stops" / "page.py").touch()
    return folder


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | environment
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def test_nothing_of_our_own_is_broken() -> None:
    assert models.architectures()
    assert discover()
    assert models.broken_files() == broken_files() == ()


def test_the_page_names_both_files_and_goes_on(folder: Path) -> None:
    done = run("-c", SCRIPT, EXPLORER_FAMILIES=str(folder), EXPLORER_VIEWS=str(folder))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["title"] == "ResNet · resnet50"
    assert found["problems"] == []
    for name, reason in REASONS.items():
        told = [text for text in found["warnings"] if name in text]
        assert len(told) == 2, "once as a family, once as a page"
        assert all(reason in text and "mend it or remove it" in text for text in told)


def test_the_command_line_names_the_file_on_stderr_and_goes_on(folder: Path) -> None:
    done = run("-m", "explorer", "list", EXPLORER_FAMILIES=str(folder))
    assert done.returncode == 0
    assert "ResNet" in done.stdout
    first, *others = done.stderr.splitlines()
    assert first.startswith(f"note: {folder / 'cut_short.py'} is left out, because it fails on import (SyntaxError: ")
    assert len(others) == len(REASONS) - 1


def test_a_network_that_fails_after_it_was_registered_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "halfway.py").write_text(TOY + "\nraise RuntimeError('and then')\n", encoding="utf-8")
    done = run("-m", "explorer", "describe", "toy_24", EXPLORER_FAMILIES=str(tmp_path))
    assert done.returncode == 2
    assert "RuntimeError: and then" in done.stderr
    assert "There is no" in done.stderr


def test_the_page_opens_on_another_network_where_the_first_fails(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for room in ("models", "explorer"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", copy)
    (copy / "assets").symlink_to(ROOT / "assets")
    (copy / "models" / "families" / "resnet.py").write_text("1 / 0\n", encoding="utf-8")
    done = run("-c", SCRIPT, cwd=copy)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["problems"] == []
    assert found["title"] == "LeNet-5 · lenet5"
    (warning,) = found["warnings"]
    assert "resnet.py is left out" in warning
    assert "ZeroDivisionError" in warning


def test_a_module_that_is_not_there_is_named() -> None:
    modules, broken = import_each(explorer, ["errors", "absent"])
    assert [module.__name__ for module in modules] == ["explorer.errors"]
    assert broken == [
        "explorer.absent is left out, because it fails on import (ModuleNotFoundError: No module named "
        "'explorer.absent'): mend it or remove it."
    ]
