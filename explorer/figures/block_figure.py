"""A folded layer graph laid out as papers draw blocks: the longest way down the middle, branches beside it, skips as
arcs.

Lengths are in px of 1/96 inch; x grows to the right and y downwards. The writers of SVG and TikZ draw what is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from explorer.figures import units
from explorer.figures.block_lanes import Lanes, lanes
from explorer.figures.graph_payload import operation
from explorer.graph import ops
from explorer.graph.fold import Edge, FoldedGraph, Node, best_depth, fold
from explorer.graph.layers import LayerGraph
from explorer.graph.outline import MERE_CONTAINERS
from explorer.graph.part import module_graph
from explorer.types import Shape

Point = tuple[float, float]
MOST_BOXES = 24  # that a figure in a paper has room for
LETTER_PX, SMALL_PX, LINE_PX, PAD_PX = 6.6, 5.2, 15.0, 9.0
GAP_PX, GUTTER_PX, EDGE_PX = 30.0, 46.0, 16.0  # between ranks, between lanes, around everything
TIMES_PX = 8.0  # how far above the middle of a box stands what it stands for, as an arc may leave there
_FRAME_PX, _ARC_PX = 8.0, 9.0
_CHANNELS = {"conv": 1, "conv1d": 1, "conv_transpose": 1, "linear": -1}  # where a shape has their channels
_FOLLOWS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm",
                      "dropout", *ops.ACTIVATIONS})  # fmt: skip


@dataclass(frozen=True)
class BlockBox:
    """One box, by its middle: what it does, and below in small what follows it; `times` it stands for."""

    id: str
    kind: str
    title: str
    details: str
    times: int
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    shape: str = ""


@dataclass(frozen=True)
class BlockLine:
    """A connection: cubic curves through `points`, of which each third is passed, with an arrow at its end."""

    source: str
    target: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class BlockFrame:
    """A frame around a run of boxes that repeats `times`."""

    times: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class BlockFigure:
    """What is drawn, and how large that is."""

    boxes: tuple[BlockBox, ...]
    lines: tuple[BlockLine, ...]
    frames: tuple[BlockFrame, ...]
    width: float
    height: float


def paper_figure(graph: LayerGraph, module: str = "", depth: int | None = None) -> BlockFigure:
    """The figure of a module, "" for the whole network, with `depth` levels opened: by default as many as
    MOST_BOXES allow. Raises UserError that names a module which is none."""
    part = module_graph(graph, module)
    levels = best_depth(part, MOST_BOXES) if depth is None else depth
    return block_figure(fold(part, levels), part)


def block_figure(folded: FoldedGraph, graph: LayerGraph) -> BlockFigure:
    """Lay out a graph as it is folded; norms and activations stand in the box of what they follow."""
    parts, edges = _united(folded)
    boxes = {first.id: _box(first, rest, graph) for first, *rest in parts}
    found = lanes(list(boxes), [(edge.source, edge.target) for edge in edges])
    boxes = _placed(boxes, found)
    for edge in edges:
        boxes[edge.source] = replace(boxes[edge.source], shape=_shape(edge.shape))
    lines = _lines(boxes, found, edges)
    box_of = {node.id: first.id for first, *rest in parts for node in (first, *rest)}
    frames = _frames(folded, box_of, boxes, lines)
    return _moved(tuple(boxes.values()), lines, frames)


# -- boxes ------------------------------------------------------------------------------------------------------------


def _united(folded: FoldedGraph) -> tuple[list[list[Node]], list[Edge]]:
    """Nodes that share a box, and the edges between boxes."""
    readers: dict[str, list[str]] = {}
    sources: dict[str, list[str]] = {}
    for edge in folded.edges:
        readers.setdefault(edge.source, []).append(edge.target)
        sources.setdefault(edge.target, []).append(edge.source)
    nodes = {node.id: node for node in folded.nodes}
    first_of: dict[str, str] = {}
    parts: dict[str, list[Node]] = {}
    for node in folded.nodes:
        before = nodes[sources[node.id][0]] if len(sources.get(node.id, ())) == 1 else None
        joins = before and node.kind in _FOLLOWS and before.kind not in ("input", "module") and (
            readers[before.id] == [node.id] and (before.cluster, before.times) == (node.cluster, node.times)
        )  # fmt: skip
        first_of[node.id] = first_of[before.id] if joins and before else node.id
        parts.setdefault(first_of[node.id], []).append(node)
    edges = [
        replace(edge, source=first_of[edge.source], target=first_of[edge.target]) for edge in folded.edges
        if first_of[edge.source] != first_of[edge.target]
    ]  # fmt: skip
    return list(parts.values()), edges


def _box(node: Node, rest: list[Node], graph: LayerGraph) -> BlockBox:
    after = " · ".join(operation(graph[each.layers[0]]) for each in rest)
    if node.kind == "module":
        name, _, class_name = node.title.partition(" · ")
        title, details = (name, "") if class_name in ("", *MERE_CONTAINERS) else (class_name, name)
    else:
        title, details = operation(graph[node.layers[0]]) if node.layers else "cannot run", after
        if node.kind in _CHANNELS:
            title += f", {node.output_shape[_CHANNELS[node.kind]]:,}"
    width = max(len(title), 0.9 * len(details), 4) * LETTER_PX + 2 * PAD_PX
    height = LINE_PX * (2 if details else 1) + PAD_PX
    return BlockBox(node.id, node.kind, title, details, node.times, width=width, height=height,
                    shape=_shape(node.output_shape))  # fmt: skip


def _shape(shape: Shape) -> str:
    return units.shape(shape)


def _placed(boxes: dict[str, BlockBox], found: Lanes) -> dict[str, BlockBox]:
    """Boxes at the middles of their lanes and ranks."""
    widths: dict[int, float] = {}
    heights: dict[int, float] = {}
    for name, box in boxes.items():
        lane, rank = found.lane[name], found.rank[name]
        widths[lane] = max(widths.get(lane, 0.0), box.width)
        heights[rank] = max(heights.get(rank, 0.0), box.height)
    xs, ys = _middles(widths, GUTTER_PX), _middles(heights, GAP_PX)
    return {name: replace(box, x=xs[found.lane[name]], y=ys[found.rank[name]]) for name, box in boxes.items()}


def _middles(sizes: dict[int, float], gap: float) -> dict[int, float]:
    found, end = {}, 0.0
    for number in sorted(sizes):
        found[number] = end + sizes[number] / 2
        end += sizes[number] + gap
    return found


# -- lines and frames -------------------------------------------------------------------------------------------------


def _lines(boxes: dict[str, BlockBox], found: Lanes, edges: Iterable[Edge]) -> list[BlockLine]:
    """Straight within a lane, an S between lanes, and arcs past what lies between."""
    lines, arcs = [], 0
    for edge in edges:
        source, target = boxes[edge.source], boxes[edge.target]
        span = found.rank[edge.target] - found.rank[edge.source]
        if found.lane[edge.source] == found.lane[edge.target] and span > 1:
            passed = [box for name, box in boxes.items() if found.lane[name] == found.lane[edge.source]
                      and found.rank[edge.source] <= found.rank[name] <= found.rank[edge.target]]  # fmt: skip
            points = _arc(source, target, max(_right(box) for box in passed) + _ARC_PX * (1 + arcs % 3))
            arcs += 1
        else:
            outwards = abs(found.lane[edge.target]) > abs(found.lane[edge.source])
            points = _way(source, target, outwards)
        lines.append(BlockLine(edge.source, edge.target, points))
    return lines


def _way(source: BlockBox, target: BlockBox, outwards: bool) -> tuple[Point, ...]:
    """Down that of two lanes which lies further outside, so that what is in the other is not crossed."""
    start, end = (source.x, source.y + source.height / 2), (target.x, target.y - target.height / 2)
    if source.x == target.x:
        return start, start, end, end
    bend = GAP_PX * 1.1
    if not outwards:
        turn = (source.x, max(start[1], end[1] - bend))
        return start, start, turn, turn, (source.x, end[1]), (target.x, end[1] - bend), end
    turn = (target.x, min(end[1], start[1] + bend))
    return start, (source.x, start[1] + bend), (target.x, start[1]), turn, turn, end, end


def _right(box: BlockBox) -> float:
    """Where a box and what is written beside and below it end."""
    return max(box.x + box.width / 2 + (4 * LETTER_PX if box.times > 1 else 0), box.x + (len(box.shape) + 2) * SMALL_PX)


def _arc(source: BlockBox, target: BlockBox, outside: float) -> tuple[Point, ...]:
    """From one side of a box past others to the side of another, with round corners."""
    (x0, y0), (x1, y1) = (source.x + source.width / 2, source.y), (target.x + target.width / 2, target.y)
    bend = min(GAP_PX, (y1 - y0) / 2)
    down, up = (outside, y0 + bend), (outside, y1 - bend)
    return (x0, y0), (outside, y0), (outside, y0), down, down, up, up, (outside, y1), (outside, y1), (x1, y1)


def _frames(
    folded: FoldedGraph, box_of: dict[str, str], boxes: dict[str, BlockBox], lines: Sequence[BlockLine]
) -> list[BlockFrame]:
    """A frame around each run that repeats; opened modules go without, as a figure has the boxes alone."""
    parent = {cluster.id: cluster.parent for cluster in folded.clusters}
    members: dict[str, set[str]] = {}
    for node in folded.nodes:
        cluster = node.cluster
        while cluster:
            members.setdefault(cluster, set()).add(box_of[node.id])
            cluster = parent[cluster]
    found: list[BlockFrame] = []
    for cluster in folded.clusters:
        held = members.get(cluster.id, set())
        if cluster.times > 1 and held:
            within = [line for line in lines if {line.source, line.target} <= held]
            found.append(_around([boxes[name] for name in held], within, cluster.times))
    return found


def _around(boxes: Sequence[BlockBox], lines: Sequence[BlockLine], times: int) -> BlockFrame:
    points = [point for line in lines for point in line.points]
    xs = [box.x + side * box.width / 2 for box in boxes for side in (-1, 1)] + [x for x, _ in points]
    ys = [box.y + side * box.height / 2 for box in boxes for side in (-1, 1)] + [y for _, y in points]
    return BlockFrame(times, min(xs) - _FRAME_PX, min(ys) - _FRAME_PX, max(xs) + _FRAME_PX, max(ys) + _FRAME_PX)


def _moved(boxes: tuple[BlockBox, ...], lines: list[BlockLine], frames: list[BlockFrame]) -> BlockFigure:
    """All of it with the upper left corner at the origin, and room for what is written at the right."""
    points = [point for line in lines for point in line.points]
    lefts = [box.x - box.width / 2 for box in boxes] + [frame.left for frame in frames] + [x for x, _ in points]
    rights = [*map(_right, boxes), *(x for x, _ in points), *(frame.right + 4 * LETTER_PX for frame in frames)]
    ends = [box.y + box.height / 2 for box in boxes] + [frame.bottom for frame in frames]
    dx, dy = EDGE_PX - min(lefts), EDGE_PX - min([0.0, *(frame.top for frame in frames)])
    return BlockFigure(
        tuple(replace(box, x=box.x + dx, y=box.y + dy) for box in boxes),
        tuple(replace(line, points=tuple((x + dx, y + dy) for x, y in line.points)) for line in lines),
        tuple(replace(one, left=one.left + dx, right=one.right + dx, top=one.top + dy, bottom=one.bottom + dy)
              for one in frames),
        max(rights) + dx + EDGE_PX, max(ends) + dy + EDGE_PX,
    )  # fmt: skip
