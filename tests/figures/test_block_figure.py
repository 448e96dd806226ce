"""The figure for papers: every layer in one box, every connection drawn, in SVG and in TikZ."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import explorer
import models
from explorer.errors import UserError
from explorer.figures.block_figure import BlockFigure, block_figure, paper_figure
from explorer.figures.block_lanes import lanes
from explorer.figures.block_svg import block_svg
from explorer.figures.block_tikz import block_tikz, tex_escape
from explorer.graph import fold
from explorer.graph.layers import LayerGraph
from explorer.graph.part import module_graph
from explorer.networks import catalog

CASES = [
    ("resnet_mini", ""), ("resnet_mini", "layer2.0"), ("googlenet_mini", "inception3a"), ("densenet_mini", ""),
    ("shufflenet_v2_mini", ""), ("vgg_mini", ""), ("block:inception_c", ""), ("block:squeeze_excitation", ""),
]  # fmt: skip


def graph_of(name: str) -> LayerGraph:
    return catalog.find(name, {}).analysis(None).graph


@pytest.fixture(scope="module", params=CASES, ids=" ".join)
def drawn(request: pytest.FixtureRequest) -> BlockFigure:
    name, module = request.param
    return paper_figure(graph_of(name), module)


def overlaps(figure: BlockFigure) -> Iterator[tuple[str, str]]:
    for a, b in itertools.combinations(figure.boxes, 2):
        if abs(a.x - b.x) < (a.width + b.width) / 2 and abs(a.y - b.y) < (a.height + b.height) / 2:
            yield a.title, b.title


def test_nothing_lies_over_another_box_or_outside(drawn: BlockFigure) -> None:
    assert list(overlaps(drawn)) == []
    for box in drawn.boxes:
        assert box.width / 2 <= box.x <= drawn.width - box.width / 2
        assert box.height / 2 <= box.y <= drawn.height - box.height / 2
    for line in drawn.lines:
        assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in line.points)


def test_no_connection_runs_through_a_box(drawn: BlockFigure) -> None:
    for line in drawn.lines:
        for box in drawn.boxes:
            if box.id not in (line.source, line.target):
                inside = [
                    (x, y) for x, y in along(line.points)
                    if abs(x - box.x) < box.width / 2 and abs(y - box.y) < box.height / 2
                ]  # fmt: skip
                assert not inside, (line, box)


def along(points: tuple[tuple[float, float], ...]) -> Iterator[tuple[float, float]]:
    """Places on the cubic curves, by Bernstein's form."""
    for i in range(0, len(points) - 1, 3):
        for step in range(11):
            t = step / 10
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            yield tuple(sum(w * p[axis] for w, p in zip(weights, points[i : i + 4], strict=True)) for axis in (0, 1))  # pyright: ignore[reportReturnType]


def test_svg_has_every_box_line_and_shape(drawn: BlockFigure) -> None:
    root = ElementTree.fromstring(block_svg(drawn, "a <title> & more"))
    space = "{http://www.w3.org/2000/svg}"
    assert [box.get("id") for box in root.iter(f"{space}rect") if box.get("class") == "box"] == [
        box.id for box in drawn.boxes
    ]
    ends = [(path.get("data-from"), path.get("data-to")) for path in root.iter(f"{space}path") if path.get("data-from")]
    assert ends == [(line.source, line.target) for line in drawn.lines]
    texts = {text.text for text in root.iter(f"{space}text")}
    assert {box.title for box in drawn.boxes} | {box.shape for box in drawn.boxes} <= texts
    assert root.findtext(f"{space}title") == "a <title> & more"


def test_tikz_is_balanced_and_has_every_box_line_and_shape(drawn: BlockFigure) -> None:
    text = block_tikz(drawn, "title\n\\input{evil}")
    code = re.sub(r"(?<!\\)%.*", "", text)  # as TeX reads it
    bare = re.sub(r"\\[\\{}]", "", code)
    assert bare.count("{") == bare.count("}")
    assert "evil" not in code
    assert re.findall(r"\\begin\{(\w+)\}", code) == re.findall(r"\\end\{(\w+)\}", code)[::-1]
    assert re.findall(r"\\node\[box=\w+, [^]]*\] \((\w+)\)", code) == [box.id for box in drawn.boxes]
    assert code.count(r"\draw[flow]") == len(drawn.lines)
    assert len(re.findall(r"\\node\[shape\]", code)) == len(drawn.boxes)
    assert set(re.findall(r"box=(\w+)", code)) == set(re.findall(r"\\definecolor\{(\w+)\}", code))
    assert all(line.rstrip().endswith(";") for line in code.splitlines() if line.startswith((r"\node", r"\draw")))
    assert re.findall(r"\\usepackage", code) == []
    assert code.isascii()


@given(st.text())
def test_a_name_from_outside_is_no_command_of_tex(text: str) -> None:
    escaped = tex_escape(text)
    assert escaped.isascii()
    known = r"\\textbackslash\{\}|\\[{}$&#_%]|\\[\^~]\{\}|\$(?:[<>|-]|\\times|\\cdot|\\to|\\leq)\$|\\dots\{\}|~"
    assert not re.search(r"[\\{}$&#_%^]", re.sub(known, "", escaped))


def test_boxes_hold_every_layer_and_lines_every_connection() -> None:
    graph = graph_of("resnet_mini")
    folded = fold.fold(graph, fold.max_depth(graph))
    figure = block_figure(folded, graph)
    heads = [layer for layer in graph if layer.kind not in ("batch_norm", "relu")]
    assert len(figure.boxes) == len(heads), "norms and activations stand in the boxes of what they follow"
    adds = {box.id for box in figure.boxes if box.kind == "add"}
    into = [line.target for line in figure.lines if line.target in adds]
    assert len(into) == 2 * len(adds)


def test_a_module_is_the_figure_of_it_alone() -> None:
    block = models.build("resnet_mini", device="meta").get_submodule("layer2.0")
    alone = explorer.analyze(block, (16, 32, 32)).graph
    inside = module_graph(graph_of("resnet_mini"), "layer2.0")
    assert [layer.kind for layer in inside] == [layer.kind for layer in alone]
    assert [layer.output_shape for layer in inside] == [layer.output_shape for layer in alone]
    assert [layer.id for layer in inside][1:] == [layer.id for layer in alone][1:]
    assert inside.outputs == alone.outputs


@pytest.mark.parametrize("path", ["layer9", "layer", "<b>", "layer2.0.conv"])
def test_a_module_that_is_none_is_named(path: str) -> None:
    with pytest.raises(UserError, match="is no module of this network"):
        module_graph(graph_of("resnet_mini"), path)


def test_repeats_are_drawn_once_with_their_number() -> None:
    """Of each stage the blocks after its first are equal: n - 1 of the paper's table 2."""
    figure = paper_figure(graph_of("mobilenet_v2"), "features", depth=1)
    stages = (1, 2, 3, 4, 3, 3, 1)
    assert [box.times for box in figure.boxes if box.times > 1] == [n - 1 for n in stages if n > 2]


def test_a_box_says_what_its_layer_does() -> None:
    titles = [box.title for box in paper_figure(graph_of("mobilenet_v2"), "features.2").boxes]
    assert titles == ["input", "conv 1×1, 96", "depthwise 3×3 /2, 96", "conv 1×1, 24"]


EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda edge: edge[0] < edge[1]), max_size=30)


@given(EDGES)
def test_lanes_give_every_box_a_place_of_its_own_below_what_it_reads(edges: list[tuple[int, int]]) -> None:
    names = [str(number) for number in range(12)]
    found = lanes(names, [(str(a), str(b)) for a, b in edges])
    places = [(found.rank[name], found.lane[name]) for name in names]
    assert len(set(places)) == len(names)
    assert all(found.rank[str(a)] < found.rank[str(b)] for a, b in edges)
