"""What a person on a fresh machine relies on: pinned requirements, the two commands, a local server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from explorer.ui import sidebar
from tests.support.places import ROOT


def requirements(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs make in the project's root, outside any make that runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    options = {"cwd": ROOT, "env": inherited | environment, "timeout": 60}
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize("name", ["requirements.txt", "tests/requirements.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    assert requirements(name)
    assert [line for line in requirements(name) if not re.fullmatch(r"[a-z0-9_-]+(\[\w+\])?==[\w.]+", line)] == []


def test_what_an_installation_needs_is_what_the_app_is_tested_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == [line.replace("==", ">=") for line in requirements("requirements.txt")]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    assert set(extras) <= {line.replace("==", ">=") for line in requirements("tests/requirements.txt")}


def test_readme_opens_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first_block = re.search(r"```sh\n(.*?)```", readme, re.DOTALL)
    assert first_block
    assert re.findall(r"^make \w+", first_block[1], re.MULTILINE) == ["make app", "make test"]


def test_readme_names_only_make_targets_that_exist() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"app", "test"} <= named <= targets


def test_readme_links_only_to_files_that_exist() -> None:
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []


def test_make_app_installs_first_and_honours_the_port() -> None:
    done = make("-n", "-W", "requirements.txt", "app", "PORT=9000", f"PYTHON={sys.executable}")
    steps = done.stdout.splitlines()
    assert f"{sys.executable} -m venv .venv" in steps[0]
    assert "pip install" in steps[1]
    assert steps[-1].endswith("streamlit run app.py --server.port 9000")


def test_make_without_python_says_so_in_one_sentence(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = make("-n", "-W", "requirements.txt", "app", PATH=str(tools))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no Python 3.11 or newer was found" in done.stderr


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "exec make test"


def test_server_stays_local() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["maxUploadSize"] == sidebar.WEIGHTS_MB, "the server refuses what is larger"
    assert config["browser"]["gatherUsageStats"] is False
