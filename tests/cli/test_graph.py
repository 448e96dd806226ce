"""The command `graph`: DOT without Graphviz, pictures by it, and one sentence where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from explorer.cli.main import main


def test_dot_needs_no_graphviz_and_opens_as_deep_as_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed, opened = tmp_path / "closed.dot", tmp_path / "opened.dot"
    assert main(["graph", "resnet18", "--depth", "1", "--out", str(closed)]) == 0
    assert main(["graph", "resnet18", "--set", "depths=1,1,1,1", "--depth", "9", "--out", str(opened)]) == 0
    assert closed.read_text().startswith("digraph")
    assert "subgraph" not in closed.read_text()
    assert "subgraph" in opened.read_text()
    assert "1 of 4 levels" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["graph.txt", "graph", "graph.svgz"])
def test_another_ending_is_refused_by_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "lenet5", "--out", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert ".dot, .svg, .pdf, .png" in line
    assert not list(tmp_path.iterdir())


def test_without_graphviz_a_picture_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["graph", "lenet5", "--out", str(tmp_path / "graph.svg")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Graphviz is not installed" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
@pytest.mark.parametrize(("body", "code", "written"), [("cat", 0, True), ("exit 3", 2, False)])
def test_a_picture_is_what_graphviz_makes_of_the_graph(
    body: str, code: int, written: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (folder := tmp_path / "bin").mkdir()
    (program := folder / "dot").write_text(f'#!/bin/sh\n[ "$1" = -Tpdf ] || exit 9\n{body}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert main(["graph", "lenet5", "--out", str(tmp_path / "graph.pdf")]) == code
    assert (tmp_path / "graph.pdf").exists() == written
    assert ("ended with 3" in capsys.readouterr().err) != written


@pytest.mark.parametrize(("ending", "begins"), [(".svg", "<svg"), (".tex", "% resnet_mini layer2.0")])
def test_a_figure_of_a_module_needs_no_graphviz(
    ending: str, begins: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / f"block{ending}"
    assert main(["graph", "resnet_mini", "--figure", "layer2.0", "--out", str(out)]) == 0
    assert out.read_text().startswith(begins)
    assert "5 boxes, 5 connections" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"), [(["--figure", "layer9"], "layer9"), (["--figure", "--out", "a.pdf"], "a.pdf")]
)
def test_a_figure_that_cannot_be_is_one_sentence(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["graph", "resnet_mini", "--out", "a.svg", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())
