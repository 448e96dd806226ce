"""The command `graph`: the layer graph as DOT, or as Graphviz draws it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import graphviz

from explorer.errors import UserError, shown
from explorer.figures import graph_dot
from explorer.graph import fold
from explorer.networks import catalog
from explorer.whole_file import write_whole

ENDINGS = (".dot", ".svg", ".pdf", ".png")
PATIENCE_S = 120  # Graphviz takes a minute for what a person could not read anyway


def graph_command(
    name: str,
    knobs: list[tuple[str, str]],
    input_size: tuple[int, int, int] | None,
    depth: int | None,
    out: str,
) -> None:
    """Write the graph with modules closed below `depth` levels. Raises UserError that names the file or its ending."""
    path = Path(out)
    if path.suffix not in ENDINGS:
        raise UserError(f"--out={shown(path.name)} does not end in one of {', '.join(ENDINGS)}.")
    graph = catalog.find(name, dict(knobs)).analysis(input_size).graph
    levels = fold.best_depth(graph) if depth is None else min(depth, fold.max_depth(graph))
    source = graph_dot.dot(fold.fold(graph, levels))
    data = source.encode() if path.suffix == ".dot" else _drawn(source, path.suffix[1:])
    write_whole(path, lambda draft: draft.write_bytes(data))
    print(f"{out}: {len(graph)} layers, {levels} of {fold.max_depth(graph)} levels of modules opened")


def _drawn(source: str, form: str) -> bytes:
    try:
        found = subprocess.run(
            [str(graphviz.backend.DOT_BINARY), f"-T{form}"], input=source.encode(), capture_output=True, check=True,
            timeout=PATIENCE_S,
        )  # fmt: skip
    except FileNotFoundError:
        raise UserError(f"Graphviz is not installed, so there is no {form}; --out FILE.dot needs none.") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"Graphviz takes more than {PATIENCE_S} s; a smaller --depth closes more modules.") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"Graphviz cannot draw this graph as {form} (it ended with {error.returncode}).") from None
    return found.stdout
