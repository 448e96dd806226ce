"""The plan of the house: rooms stand above what they import, nothing runs in a circle, each says what it is for."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.places import ROOT

# Each floor imports from those above it in this list alone. A room is a folder of explorer, or a file beside them.
FLOORS = [
    {"explorer.errors", "explorer.types", "explorer.resources", "explorer.discovery", "explorer.whole_file"},
    {"models"},
    {"explorer.graph", "explorer.images"},
    {"explorer.receptive_field", "explorer.run"},
    {"explorer.analysis"},
    {"explorer.exchange"},
    {"explorer.api", "explorer.networks", "explorer.figures", "explorer.training"},
    {"explorer.atlas"},
    {"explorer"},
    {"explorer.ui", "explorer.cli"},
    {"explorer.views", "explorer.__main__"},
    {"app"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
IDIOMS = {"KIND", "PANEL", "PAPER", "SETTINGS", "VIEW"}  # said in every file that has such a thing: no two meanings
STANDARD = "|".join(sys.stdlib_module_names)
# What a person hands in is analysed without our own models, whose name a project of theirs may bear as well.
BELOW_MODELS = "errors|types|resources|discovery|whole_file"
ON_ANY_MODULE = rf"explorer(\.(api|graph|images|receptive_field|run|analysis|exchange|{BELOW_MODELS})\b|$)"

# (importer, imported, rule): regular expressions, matched at the start of dotted names. They hold for what a
# module imports itself and for what it reaches through other modules of the project.
FORBIDDEN = [
    (r"explorer\.graph\.(layers|fold)\b", rf"(?!({STANDARD}|explorer)\b)", "plain data: standard library only"),
    (
        rf"explorer\.({BELOW_MODELS})\b",
        rf"(?!({STANDARD})\b)",
        "what everything imports: standard library only",
    ),
    (ON_ANY_MODULE, r"models\b", "they take any nn.Module"),
    (r"models\.families\.", r"models\.families\.", "families never import each other"),
    (r"(?!app\b|explorer\.(ui|views)\b)", r"streamlit\b", "only app, ui and views know it"),
]


def modules(root: Path) -> dict[str, Path]:
    """The project's modules by dotted name."""
    files = [*(root / "models").rglob("*.py"), *(root / "explorer").rglob("*.py"), root / "app.py"]
    names = [".".join(file.relative_to(root).with_suffix("").parts) for file in files]
    return {name.removesuffix(".__init__"): file for name, file in zip(names, files, strict=True)}


def imports(path: Path, root: Path) -> frozenset[str]:
    """Absolute dotted names of everything that a file imports, at any depth of its code."""
    return _imports(path.read_text(encoding="utf-8"), path.relative_to(root).parent.parts)


@cache  # every module is asked for all that it reaches
def _imports(text: str, package: tuple[str, ...]) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            found |= {".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return frozenset(found)


def owner(name: str, known: dict[str, Path]) -> str | None:
    """The module that an imported name is, or is defined in; None for what is not the project's."""
    return next((module for module in (name, name.rpartition(".")[0]) if module in known), None)


def reached(module: str, root: Path) -> set[str]:
    """What a module imports, itself or through modules of the project."""
    known, found, queue = modules(root), set(), [module]
    while queue:
        new = imports(known[queue.pop()], root) - found
        found |= new
        queue += [name for name in (owner(imported, known) for imported in new) if name]
    return found


def room(module: str) -> str:
    """The room that a module, or a name of one, lies in: the longest that the plan names."""
    parts = module.split(".")
    return next(name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in FLOOR_OF)


def broken_rule(importer: str, imported: str) -> str | None:
    """The first rule that this import breaks, or None."""
    if imported.split(".")[0] in ("explorer", "models", "app"):
        above, below = room(importer), room(imported)
        if above != below and FLOOR_OF[below] >= FLOOR_OF[above]:
            return f"imports point one way: {above} stands below or beside {below}"
    return next((rule for a, b, rule in FORBIDDEN if re.match(a, importer) and re.match(b, imported)), None)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that import each other in a ring; empty where nothing does."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def graph_of_modules(root: Path) -> dict[str, set[str]]:
    """For each module of the project those that it imports."""
    known = modules(root)
    found = {name: {owner(imported, known) for imported in imports(file, root)} for name, file in known.items()}
    return {name: {other for other in others if other} for name, others in found.items()}


def defined(path: Path) -> set[str]:
    """The classes, aliases and constants that a file makes public."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
        found |= {node.name} if isinstance(node, ast.ClassDef) else set()
    return {name for name in found if name[0].isupper()}


@pytest.mark.parametrize("module", sorted(modules(ROOT)))
def test_imports_point_one_way(module: str) -> None:
    broken = {name: rule for name in sorted(reached(module, ROOT)) if (rule := broken_rule(module, name))}
    assert not broken


def test_no_module_is_reached_from_itself() -> None:
    assert circle(graph_of_modules(ROOT)) == []


def test_no_room_is_reached_from_itself() -> None:
    rooms: dict[str, set[str]] = {}
    for module, others in graph_of_modules(ROOT).items():
        rooms.setdefault(room(module), set()).update({room(other) for other in others} - {room(module)})
    assert circle(rooms) == []
    assert set(rooms) == set(FLOOR_OF), "the plan names the rooms that there are"


def test_no_name_stands_for_two_things() -> None:
    """Public classes, aliases and constants. Families and blocks are left out: each keeps to the words of its paper."""
    found: dict[str, list[str]] = {}
    for module, path in modules(ROOT).items():
        if not re.match(r"models\.(families|blocks)\b", module):
            for name in defined(path) - IDIOMS:
                found.setdefault(name, []).append(module)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_few_files_stand_beside_the_rooms() -> None:
    assert len(list((ROOT / "explorer").glob("*.py"))) <= 8


@pytest.mark.parametrize("path", sorted(p.parent for p in modules(ROOT).values() if p.name == "__init__.py"), ids=str)
def test_every_room_says_what_lives_there(path: Path) -> None:
    said = ast.get_docstring(ast.parse((path / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(said) > 20
    assert said.endswith(".")


def test_every_folder_of_code_is_a_room() -> None:
    folders = {path.parent for path in modules(ROOT).values()} - {ROOT}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_no_file_is_longer_than_one_subject_needs() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(ROOT).items()}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("explorer.graph.layers", "torch"),
        ("explorer.errors", "explorer.types"),
        ("explorer.graph.trace", "explorer.run.execute.run"),
        ("explorer.graph.trace", "explorer.receptive_field.report"),
        ("explorer.run.execute", "explorer.receptive_field.report"),
        ("explorer.run.execute", "explorer.analysis.cost"),
        ("explorer.run.execute", "models.build"),
        ("explorer.analysis.cost", "models"),
        ("explorer.analysis.cost", "streamlit"),
        ("explorer.training.train", "explorer.figures"),
        ("explorer.exchange.export", "models"),
        ("explorer.exchange.export", "explorer.networks.catalog"),
        ("explorer.figures.maps", "explorer.networks.catalog"),
        ("explorer.training.train", "explorer.atlas.shipped"),
        ("explorer.api", "explorer.cli.main"),
        ("explorer.api", "models"),
        ("explorer.figures.maps", "streamlit"),
        ("explorer.ui.widgets", "explorer.views"),
        ("explorer.cli.main", "explorer.ui.session"),
        ("explorer.views.occlusion.page", "app"),
        ("models.families.vgg", "models.families.alexnet"),
        ("models.spec", "explorer.graph.trace"),
        ("models.spec", "explorer"),
    ],
)
def test_a_forbidden_import_is_seen(importer: str, imported: str) -> None:
    assert broken_rule(importer, imported)


def test_imports_are_followed_through_relative_names_and_circles_are_seen(tmp_path: Path) -> None:
    package = tmp_path / "explorer" / "graph"
    package.mkdir(parents=True)
    (package / "trace.py").write_text("from . import ops\nfrom .layers import Layer\n")
    (package / "ops.py").write_text("def late():\n    import explorer.graph.trace as trace\n")
    (package / "layers.py").touch()
    (tmp_path / "app.py").touch()
    found = reached("explorer.graph.trace", tmp_path)
    assert found == {"explorer.graph.ops", "explorer.graph.layers.Layer", "explorer.graph.trace"}
    assert set(circle(graph_of_modules(tmp_path))) == {"explorer.graph.ops", "explorer.graph.trace"}
