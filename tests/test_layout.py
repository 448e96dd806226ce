"""Imports point one way: graph ← trace ← execute ← analysis ← ui ← views ← app, with models beside graph."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [*(ROOT / "models").rglob("*.py"), *(ROOT / "explorer").rglob("*.py"), ROOT / "app.py"]
STANDARD = "|".join(sys.stdlib_module_names)
BASE = "graph|ops|errors|device|images|preprocessing"  # what everything else in explorer may import

# (importer, imported, rule): regular expressions, matched at the start of dotted names.
FORBIDDEN = [
    (r"explorer\.graph\b", rf"(?!({STANDARD})\b)", "graph.py is standard library only"),
    (rf"explorer\.({BASE})\b", rf"explorer\b(?!\.({BASE})\b)", "imports point one way"),
    (r"explorer\.trace\b", rf"explorer\b(?!\.({BASE}|trace)\b)", "imports point one way"),
    (r"explorer\.execute\b", rf"explorer\b(?!\.({BASE}|trace|execute)\b)", "imports point one way"),
    (r"explorer\.analysis\b", rf"explorer\b(?!\.({BASE}|trace|execute|analysis)\b)", "imports point one way"),
    (r"explorer(?!\.(ui|views|cli|__main__)\b)", r"explorer\.(ui|views|cli)\b", "imports point one way"),
    (r"explorer\.ui\b", r"explorer\.(views|cli)\b", "imports point one way"),
    (r"explorer\b", r"app\b", "imports point one way"),
    (r"explorer\.analysis\.", r"explorer\.analysis\b", "analysis modules never import each other"),
    (rf"explorer\.({BASE}|trace|execute|analysis)\b", r"models\b(?!\.errors\b)", "they take any module"),
    (r"models\b", r"(explorer|app)\b", "models imports nothing of explorer"),
    (r"models\.families\.", r"models\.families\b", "families never import each other"),
    (r"(?!app\b|explorer\.(ui|views)\b)", r"streamlit\b", "only app, explorer.ui and explorer.views know it"),
    (r"explorer\.ui\.figures\b", r"streamlit\b", "figures turns data into pictures without Streamlit"),
]


def imports(path: Path, root: Path = ROOT) -> set[str]:
    """Absolute dotted names of everything that a file imports, at any depth of its code."""
    package = path.relative_to(root).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            found |= {".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return found


def broken_rule(importer: str, imported: str) -> str | None:
    """The first rule that this import breaks, or None."""
    return next((rule for a, b, rule in FORBIDDEN if re.match(a, importer) and re.match(b, imported)), None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    importer = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    broken = {name: rule for name in sorted(imports(path)) if (rule := broken_rule(importer, name))}
    assert not broken


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("explorer.graph", "torch"),
        ("explorer.graph", "explorer.errors"),
        ("explorer.trace", "explorer.execute.Executor"),
        ("explorer.execute", "explorer.analysis.cost"),
        ("explorer.execute", "models.build"),
        ("explorer.analysis.cost", "explorer.analysis.receptive_field"),
        ("explorer.analysis.cost", "explorer.analyze"),
        ("explorer.analysis.cost", "models"),
        ("explorer.analysis.cost", "streamlit"),
        ("explorer.training", "explorer.ui.figures"),
        ("explorer", "explorer.cli.main"),
        ("explorer.ui.figures", "streamlit"),
        ("explorer.ui.widgets", "explorer.views"),
        ("explorer.views.occlusion", "app"),
        ("models.families.vgg", "models.families.alexnet"),
        ("models.spec", "explorer.errors.UserError"),
    ],
)
def test_a_forbidden_import_is_seen(importer: str, imported: str) -> None:
    assert broken_rule(importer, imported)


def test_relative_imports_are_resolved(tmp_path: Path) -> None:
    path = tmp_path / "explorer" / "ui" / "widgets.py"
    path.parent.mkdir(parents=True)
    path.write_text("from . import figures\nfrom ..graph import Layer\nimport streamlit as st\n")
    assert imports(path, tmp_path) == {"explorer.ui.figures", "explorer.graph.Layer", "streamlit"}
