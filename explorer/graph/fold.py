"""Folds a layer graph to what a person can read: modules closed into one node, repeats drawn once with ×N.

Standard library only: the drawing (DOT today, an interactive graph later) takes `FoldedGraph` as it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from explorer.graph.layers import Layer, LayerGraph, Window
from explorer.types import Shape

MAX_PERIOD = 8  # longest run of siblings that is looked for as a repeat


@dataclass(frozen=True, slots=True)
class Node:
    """One drawn box: a layer, or a closed module. `layers` are the ids it stands for, over all `times` repeats."""

    id: str
    title: str
    kind: str
    layers: tuple[str, ...]
    output_shape: Shape
    times: int = 1
    cluster: str = ""
    param_count: int = 0
    window: Window | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A frame around nodes: an opened module, or a run of siblings that repeats `times`."""

    id: str
    title: str
    parent: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Edge:
    """Data that flows from one drawn node to another."""

    source: str
    target: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class FoldedGraph:
    """Nodes, frames and edges to draw; `node_of` finds the node that stands for a layer."""

    nodes: tuple[Node, ...]
    clusters: tuple[Cluster, ...]
    edges: tuple[Edge, ...]
    node_of: dict[str, str]


@dataclass
class _Module:
    """A module as a tree: its layers and submodules in the order in which they are first used."""

    path: str
    children: dict[str, _Module | Layer] = field(default_factory=dict[str, "_Module | Layer"])

    def layers(self) -> Iterator[Layer]:
        for child in self.children.values():
            if isinstance(child, Layer):
                yield child
            else:
                yield from child.layers()


def fold(graph: LayerGraph, depth: int = 1) -> FoldedGraph:
    """Close every module nested deeper than `depth` (1: the network's own children are closed)."""
    return _Folder(graph, depth).folded()


def best_depth(graph: LayerGraph, limit: int = 60) -> int:
    """The greatest depth at which at most `limit` nodes are visible."""
    deepest = max_depth(graph)
    return next((d for d in range(deepest, 1, -1) if len(fold(graph, d).nodes) <= limit), 1)


def max_depth(graph: LayerGraph) -> int:
    """Depth at which every layer is drawn."""
    return 1 + max((len(layer.scope.split(".")) if layer.scope else 0 for layer in graph), default=0)


def _tree(graph: LayerGraph) -> _Module:
    root = _Module("")
    for layer in graph:
        module = root
        path = ""
        for part in layer.scope.split(".") if layer.scope else []:
            path = f"{path}.{part}" if path else part
            module = module.children.setdefault(path, _Module(path))  # type: ignore[assignment]
            assert isinstance(module, _Module)
        module.children[f"{layer.id} "] = layer  # the blank keeps a layer apart from a module of the same path
    return root


class _Folder:
    def __init__(self, graph: LayerGraph, depth: int) -> None:
        self.graph = graph
        self.depth = depth
        self.nodes: list[Node] = []
        self.clusters: list[Cluster] = []
        self.node_of: dict[str, str] = {}
        self.copy_of: dict[str, tuple[tuple[str, int], ...]] = {}  # layer → (repeat, number of the copy) …
        self._cluster_ids = count()

    def folded(self) -> FoldedGraph:
        self._open(_tree(self.graph), "", 1)
        if failure := self.graph.failure:
            self.nodes.append(Node("failed", failure.path or "output", "failed", (), (), failed=True))
        return FoldedGraph(tuple(self.nodes), tuple(self.clusters), self._edges(), self.node_of)

    def _open(self, module: _Module, cluster: str, depth: int) -> None:
        """Draw a module's children inside the frame `cluster`."""
        children = list(module.children.values())
        for start, period, repeats in runs([self._signature(child) for child in children]):
            framed = period > 1 and repeats > 1
            inner = self._frame(cluster, "repeat", repeats) if framed else cluster
            for k in range(period):
                copies = [children[start + j * period + k] for j in range(repeats)]
                self._remember(copies, f"{cluster}/{module.path}/{start}")
                self._draw(copies, inner, depth, 1 if framed else repeats)

    def _draw(self, copies: list[_Module | Layer], cluster: str, depth: int, times: int) -> None:
        """Draw the first of equal siblings; it stands for all of them. `times` is what its own label says."""
        first = copies[0]
        if isinstance(first, _Module) and depth < self.depth:
            before = len(self.nodes)
            self._open(first, self._frame(cluster, self._title(first), times), depth + 1)
            self._adopt(copies, before)
            return
        layers = [layer for copy in copies for layer in ([copy] if isinstance(copy, Layer) else copy.layers())]
        self._add(first, layers, cluster, times)

    def _adopt(self, copies: list[_Module | Layer], before: int) -> None:
        """The layers of further copies of an opened module stand where those of the first do."""
        first = copies[0]
        assert isinstance(first, _Module)
        where = [self.node_of[layer.id] for layer in first.layers()]
        for copy in copies[1:]:
            assert isinstance(copy, _Module)
            for node_id, drawn, layer in zip(where, first.layers(), copy.layers(), strict=True):
                self.node_of[layer.id] = node_id
                inner = dict(self.copy_of.get(drawn.id, ())) | dict(self.copy_of.get(layer.id, ()))
                self.copy_of[layer.id] = tuple(inner.items())  # repeats inside an opened copy are those of the first
        for i, node in enumerate(self.nodes[before:], before):
            members = tuple(name for name, node_id in self.node_of.items() if node_id == node.id)
            self.nodes[i] = replace(node, layers=members, param_count=self._params(members))

    def _add(self, first: _Module | Layer, layers: list[Layer], cluster: str, times: int) -> None:
        names = tuple(layer.id for layer in layers)
        layer = first if isinstance(first, Layer) else None
        node = Node(
            id=f"n{len(self.nodes)}",
            title=_short(layer.id, layer.scope) if layer else self._title(first),  # type: ignore[arg-type]
            kind=layer.kind if layer else "module",
            layers=names,
            output_shape=layers[-1].output_shape,
            times=times,
            cluster=cluster,
            param_count=self._params(names),
            window=layer.window if layer else None,
        )
        self.nodes.append(node)
        self.node_of.update(dict.fromkeys(names, node.id))

    def _params(self, names: tuple[str, ...]) -> int:
        used = {parameter for name in names for parameter in self.graph[name].parameters}
        return sum(self.graph.parameter_sizes[parameter] for parameter in used)

    def _frame(self, parent: str, title: str, times: int) -> str:
        cluster = Cluster(f"c{next(self._cluster_ids)}", title, parent, times)
        self.clusters.append(cluster)
        return cluster.id

    def _title(self, module: _Module) -> str:
        name = self.graph.scopes.get(module.path, "")
        return f"{module.path.rpartition('.')[2]} · {name}" if name else module.path

    def _signature(self, child: _Module | Layer) -> Hashable:
        """Equal for children that differ in nothing that is drawn."""
        if isinstance(child, Layer):
            return (child.kind, child.op, child.window, child.output_shape, child.input_shapes, child.param_count)
        kind = self.graph.scopes.get(child.path, "")
        return (kind, *(self._signature(inner) for inner in child.children.values()))

    def _remember(self, copies: list[_Module | Layer], repeat: str) -> None:
        for number, copy in enumerate(copies):
            for layer in [copy] if isinstance(copy, Layer) else list(copy.layers()):
                self.copy_of[layer.id] = (*self.copy_of.get(layer.id, ()), (repeat, number))

    def _edges(self) -> tuple[Edge, ...]:
        """Edges between drawn nodes; those from one copy of a repeat to the next are what ×N says."""
        found: dict[tuple[str, str], Edge] = {}
        for layer in self.graph:
            for name, shape in zip(layer.inputs, layer.input_shapes, strict=True):
                source, target = self.node_of[name], self.node_of[layer.id]
                if source != target and not self._between_copies(name, layer.id):
                    found.setdefault((source, target), Edge(source, target, shape))
        if self.graph.failure:
            last = self.graph.layers[-1]
            found["", ""] = Edge(self.node_of[last.id], "failed", last.output_shape)
        return tuple(found.values())

    def _between_copies(self, source: str, target: str) -> bool:
        numbers = dict(self.copy_of.get(source, ()))
        return any(numbers.get(repeat, number) != number for repeat, number in self.copy_of.get(target, ()))


def _short(layer_id: str, scope: str) -> str:
    return layer_id.removeprefix(f"{scope}.") if scope else layer_id


def runs(items: list[Hashable]) -> Iterator[tuple[int, int, int]]:
    """Cover a sequence by (start, period, repeats): the run that covers most, and one that starts a step later if it
    covers as much (so that a stage after its first, wider convolution reads conv, relu and not relu, conv)."""
    start = 0
    while start < len(items):
        period, repeats = _longest(items, start)
        if repeats > 1 and period > 1 and _covered(_longest(items, start + 1)) >= period * repeats:
            period, repeats = 1, 1
        yield start, period, repeats
        start += period * repeats


def _longest(items: list[Hashable], start: int) -> tuple[int, int]:
    """(period, repeats) of the run from `start` that covers most; the shortest period on ties, (1, 1) for no repeat."""
    found = [(period, _repeats(items, start, period)) for period in range(1, MAX_PERIOD + 1)]
    return max(((p, n) for p, n in found if n > 1), key=lambda run: (_covered(run), -run[0]), default=(1, 1))


def _covered(run: tuple[int, int]) -> int:
    return run[0] * run[1]


def _repeats(items: list[Hashable], start: int, period: int) -> int:
    pattern = items[start : start + period]
    repeats = 1
    while len(pattern) == period and items[start + repeats * period : start + (repeats + 1) * period] == pattern:
        repeats += 1
    return repeats
