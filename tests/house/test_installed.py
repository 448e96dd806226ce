"""The wheel in a fresh environment, used from a folder that has a `models.py` and a `models/` of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.driver import free_port, launch, wait_for_health, wait_until_idle, watched_page
from tests.support.places import ROOT

NOTEBOOK = """
import json
import explorer, torch
from torch import nn

network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
image = torch.rand(3, 16, 16)
import models
print(json.dumps({
    "explorer": explorer.__file__,
    "params": explorer.analyze(network, (3, 16, 16)).params,
    "maps": list(explorer.feature_maps(network, image, "0").shape),
    "occlusion": list(explorer.occlusion_map(network, image, window=8, stride=8).shape),
    "models": models.OWNER,
}))
"""
PAGE = """
import json
from streamlit.testing.v1 import AppTest
from explorer.resources import app_script

app = AppTest.from_file(str(app_script()), default_timeout=60).run()
print(json.dumps({
    "title": app.title[0].value,
    "problems": [one.value for one in (*app.exception, *app.error)],
    "warnings": [one.value for one in app.warning],
}))
"""


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel, and the folder of a person's project."""

    environment: Path
    project: Path

    @property
    def package(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.environment)})) / "explorer"

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.environment / "bin" / program), *arguments]
        return subprocess.run(command, cwd=self.project, env=outside(), capture_output=True, text=True, timeout=100)

    def json(self, program: str, *arguments: str) -> Any:
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def outside() -> dict[str, str]:
    """The environment variables of a person, without those of the tests."""
    hidden = ("PYTEST", "PYTHONPATH", "EXPLORER", "COV", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The project's own code comes from the wheel alone; what it depends on, from the environment of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-w", str(folder)], check=True)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (wheel,) = folder.glob("*.whl")
    into = ["--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, *into, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    project = folder / "project"
    (project / "models").mkdir(parents=True)
    (project / "models" / "__init__.py").write_text('OWNER = "the person"\n', encoding="utf-8")
    (project / "models.py").write_text('OWNER = "the person\'s other file"\n', encoding="utf-8")
    found = Installed(environment, project)
    (found.package.parent / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return found


@pytest.fixture
def without_assets(installed: Installed) -> Iterator[Installed]:
    kept = installed.environment / "kept"
    (installed.package / "assets").rename(kept)
    yield installed
    kept.rename(installed.package / "assets")


def test_a_notebook_explores_a_module_beside_models_of_its_own(installed: Installed) -> None:
    (installed.project / "notebook.py").write_text(NOTEBOOK, encoding="utf-8")
    found = installed.json("python", "notebook.py")
    assert found == {
        "explorer": str(installed.package / "__init__.py"),
        "params": 3 * 4 * 9 + 4 + 4 * 2 + 2,
        "maps": [4, 14, 14],
        "occlusion": [2, 2],
        "models": "the person",
    }


def test_the_command_describes_a_network(installed: Installed) -> None:
    assert installed.json("cnn-explorer", "describe", "resnet18", "--json")["params"] == 11_689_512


def test_the_command_runs_a_trained_network_on_a_sample(installed: Installed) -> None:
    found = installed.json("cnn-explorer", "occlude", "zfnet_mini", "cat", "--stride", "40", "--out", "maps")
    assert found["predicted"] == "cat"


def test_python_m_says_which_models_hide_ours_and_what_to_do(installed: Installed) -> None:
    done = installed.run("python", "-m", "explorer", "describe", "resnet18")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {installed.project / 'models' / '__init__.py'} hides this program's own package")
    assert "use the command cnn-explorer" in line


def test_the_command_without_an_argument_serves_the_app(installed: Installed, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log.txt"
    address = f"http://127.0.0.1:{port}"
    settings = {"STREAMLIT_SERVER_HEADLESS": "true", "STREAMLIT_SERVER_PORT": str(port)}
    with log.open("wb") as out:
        command = [str(installed.environment / "bin" / "cnn-explorer")]
        server = subprocess.Popen(command, cwd=installed.project, env=outside() | settings, stdout=out, stderr=out)
    try:
        wait_for_health(server, address, log, 60)
        with urlopen(address, timeout=10) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        with sync_playwright() as playwright, watched_page(launch(playwright.chromium), 1440, 900) as page:
            page.goto(address)
            wait_until_idle(page)
            expect(page.get_by_test_id("stMainBlockContainer")).to_contain_text("ResNet")
            expect(page.get_by_test_id("stSidebar").locator("img")).to_be_visible()
            assert page.get_by_test_id("stAlert").count() == 0
    finally:
        server.terminate()
        server.wait(20)


def test_without_the_assets_the_page_says_so_and_goes_on(without_assets: Installed) -> None:
    (without_assets.project / "page.py").write_text(PAGE, encoding="utf-8")
    found = without_assets.json("python", "-P", "page.py")
    assert found["title"] == "ResNet · resnet50"
    (sentence,) = found["warnings"]
    assert "assets is missing" in sentence.replace("\\", "")
    assert "install cnn-explorer again" in sentence
    assert all("assets is missing" in problem.replace("\\", "") for problem in found["problems"])


def test_without_the_assets_the_command_says_so_and_goes_on(without_assets: Installed) -> None:
    assert without_assets.json("cnn-explorer", "describe", "resnet18", "--json")["params"] == 11_689_512
    done = without_assets.run("cnn-explorer", "occlude", "zfnet_mini", "cat", "--out", "maps")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{without_assets.package / 'assets'} is missing" in line
