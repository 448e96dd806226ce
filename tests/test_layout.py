"""Imports point one way: graph ← trace ← execute ← analysis ← ui ← views ← app, with models beside graph."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STANDARD = "|".join(sys.stdlib_module_names)
UPPER = r"ui|views|cli\w*"

# (importer, imported, rule): regular expressions, matched at the start of dotted names. They hold for what a
# module imports itself and for what it reaches through other modules of explorer.
FORBIDDEN = [
    (r"explorer\.graph\b", rf"(?!({STANDARD})\b)", "graph.py is standard library only"),
    (r"explorer\.trace\b", rf"explorer\.(execute|analysis|{UPPER})\b", "imports point one way"),
    (r"explorer\.execute\b", rf"explorer\.(analysis|{UPPER})\b", "imports point one way"),
    (rf"explorer(?!\.({UPPER}|__main__)\b)", rf"explorer\.({UPPER})\b", "imports point one way"),
    (r"explorer\.ui\b", r"explorer\.(views|cli)\b", "imports point one way"),
    (r"explorer\b", r"app\b", "imports point one way"),
    (r"explorer\.analysis\.", r"explorer\.analysis\b", "analysis modules never import each other"),
    (r"explorer\.(trace|execute|analysis)\b", r"models\b(?!\.errors\b)", "they take any nn.Module"),
    (r"models\b", r"(explorer|app)\b", "models imports nothing of explorer"),
    (r"models\.families\.", r"models\.families\b", "families never import each other"),
    (r"(?!app\b|explorer\.(ui|views)\b)", r"streamlit\b", "only app, explorer.ui and explorer.views know it"),
    (r"explorer\.ui\.figures\b", r"streamlit\b", "figures turns data into pictures without Streamlit"),
]


def modules(root: Path) -> dict[str, Path]:
    """The project's modules by dotted name."""
    files = [*(root / "models").rglob("*.py"), *(root / "explorer").rglob("*.py"), root / "app.py"]
    names = [".".join(file.relative_to(root).with_suffix("").parts) for file in files]
    return {name.removesuffix(".__init__"): file for name, file in zip(names, files, strict=True)}


def imports(path: Path, root: Path) -> set[str]:
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


def reached(module: str, root: Path) -> set[str]:
    """What a module imports, itself or through modules of explorer."""
    known, found, queue = modules(root), set(), [module]
    while queue:
        new = imports(known[queue.pop()], root) - found
        found |= new
        owners = {name if name in known else name.rpartition(".")[0] for name in new}
        queue += [owner for owner in owners if owner in known and owner.split(".")[0] == "explorer"]
    return found


def broken_rule(importer: str, imported: str) -> str | None:
    """The first rule that this import breaks, or None."""
    return next((rule for a, b, rule in FORBIDDEN if re.match(a, importer) and re.match(b, imported)), None)


@pytest.mark.parametrize("module", sorted(modules(ROOT)))
def test_imports_point_one_way(module: str) -> None:
    broken = {name: rule for name in sorted(reached(module, ROOT)) if (rule := broken_rule(module, name))}
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


def test_imports_are_followed_through_relative_names(tmp_path: Path) -> None:
    package = tmp_path / "explorer"
    package.mkdir()
    (package / "trace.py").write_text("from . import ops\nfrom .graph import Layer\n")
    (package / "ops.py").write_text("def late():\n    import explorer.execute as execute\n")
    for name in ("graph", "execute"):
        (package / f"{name}.py").touch()
    found = reached("explorer.trace", tmp_path)
    assert found == {"explorer.ops", "explorer.graph.Layer", "explorer.execute"}
