"""The command `graph`: the layer graph as DOT or as Graphviz draws it, or as a figure for a paper."""

from __future__ import annotations

import subprocess
from pathlib import Path

import graphviz

from explorer.errors import UserError, shown
from explorer.figures import graph_dot
from explorer.figures.block_figure import paper_figure
from explorer.figures.block_svg import block_svg
from explorer.figures.block_tikz import block_tikz
from explorer.graph import fold
from explorer.networks import catalog
from explorer.whole_file import write_whole

ENDINGS = (".dot", ".svg", ".pdf", ".png")
_FIGURES = {".svg": block_svg, ".tex": block_tikz}
PATIENCE_S = 120  # Graphviz takes a minute for what a person could not read anyway


def graph_command(
    name: str,
    knobs: list[tuple[str, str]],
    input_size: tuple[int, int, int] | None,
    depth: int | None,
    out: str,
    figure: str | None = None,
) -> None:
    """Write the graph with modules closed below `depth` levels; figure: the module, "" for all, that is drawn as papers
    do. Raises UserError that names the module, the file or its ending."""
    path, endings = Path(out), ENDINGS if figure is None else tuple(_FIGURES)
    if path.suffix not in endings:
        raise UserError(f"--out={shown(path.name)} does not end in one of {', '.join(endings)}.")
    graph = catalog.find(name, dict(knobs)).analysis(input_size).graph
    if figure is not None:
        drawn = paper_figure(graph, figure, depth)
        text = _FIGURES[path.suffix](drawn, " ".join((name, figure)).strip())
        write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))
        print(f"{out}: {len(drawn.boxes)} boxes, {len(drawn.lines)} connections")
        return
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
