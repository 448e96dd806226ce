"""`open FILE.py:NAME`: the file is imported beside a package `models` of its own; what goes wrong is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

import explorer
import models
from explorer.cli.opening import main
from explorer.cli.opening_weights import opened_network, opened_weights
from explorer.networks.given_input import expected_input
from tests.support.places import ROOT

FILE = """
import models
from torch import nn

NUMBER = 3


def make_model():
    assert models.OWNER == "the person"
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def fails():
    raise RuntimeError("no such dataset")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "models.py").write_text('OWNER = "the person"\n', encoding="utf-8")
    (folder / "mine.py").write_text(FILE, encoding="utf-8")
    (folder / "broken.py").write_text("x = 1\nraise ImportError('half written')\n", encoding="utf-8")
    return folder


@pytest.fixture
def served(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "explorer", "open", "mine.py:make_model", "--input", "3x32x32", "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    yield process
    process.terminate()
    process.wait(20)


def test_a_file_beside_models_of_its_own_is_served_behind_a_token(served: subprocess.Popen[str]) -> None:
    assert served.stdout
    link = urlsplit(served.stdout.readline())
    connection = HTTPConnection(link.netloc, timeout=20)
    connection.request("GET", "/")
    refused = connection.getresponse()
    assert (refused.status, b"token" in refused.read()) == (403, True)
    connection.request("GET", f"/?{link.query}")
    let_in = connection.getresponse()
    let_in.read()
    assert (let_in.status, let_in.headers["Location"]) == (303, "/?preset=live%3ASequential")
    cookie = (let_in.headers["Set-Cookie"] or "").partition(";")[0]
    for path in ("/", "/_stcore/health"):
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["X-Frame-Options"]) == (200, "SAMEORIGIN")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("mine", "'mine' is not FILE.py:NAME"),
        ("nowhere.py:make", "nowhere.py: there is no such file"),
        ("broken.py:make", "broken.py, line 2 fails when it is imported: ImportError: half written"),
        ("mine.py:make", "mine.py has no make"),
        ("mine.py:NUMBER", "gives a int, and no nn.Module"),
        ("mine.py:fails", "fails in fails(): RuntimeError: no such dataset"),
    ],
)
def test_what_goes_wrong_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str, said: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert main([str(folder / target)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said.replace("'mine'", f"'{folder}/mine'") in line


def test_a_checkpoint_is_opened_as_the_network_that_it_is(tmp_path: Path) -> None:
    network = models.build("lenet5", num_classes=7)
    torch.save({"state_dict": {f"module.{name}": t for name, t in network.state_dict().items()}}, tmp_path / "own.pth")
    given = opened_weights(str(tmp_path / "own.pth"))
    image = torch.rand(1, *given["input_size"])
    torch.testing.assert_close(given["module"](image), network.eval()(image), rtol=0, atol=1e-6)
    assert len(given["classes"]) == 7
    assert expected_input(network, given["input_size"], given["preprocessing"]).mean == given["preprocessing"]["mean"]


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_a_file_of_a_network_comes_with_what_it_says(ending: str, tmp_path: Path) -> None:
    path, names = tmp_path / f"mine.{ending}", tuple("abcdefghijkl")
    module = models.build("lenet_mini").eval()
    explorer.export(module, path, input_size=(3, 64, 64), classes=names)
    found = opened_network(str(path))
    assert (found["classes"], found["input_size"]) == (names, (3, 64, 64))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(found["module"](image), module(image), rtol=1e-4, atol=1e-5)
