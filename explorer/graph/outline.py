"""A layer graph as a nested outline: modules in modules, units of conv, norm and activation, repeats; what is drawn.

Layers are ordered so that each entry of the outline covers a contiguous range of them, as does each copy of a repeat.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import count
from typing import Literal

from explorer.graph import ops
from explorer.graph.fold import runs
from explorer.graph.layers import Layer, LayerGraph

Role = Literal["layer", "unit", "group", "repeat"]

_HEADS = frozenset({"conv", "conv1d", "conv3d", "conv_transpose", "linear"})
_NORMS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"})
_ACTIVATIONS = frozenset(ops.ACTIVATIONS)
_MANY = 150  # things in one module, above which they are drawn in parts
MERE_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")  # that only hold others, and say nothing by their class
FAILED = "failed"  # the kind of what a network that cannot run stops at


@dataclass(frozen=True, slots=True)
class Entry:
    """A node of the outline: layers start to stop (exclusive) of its order.

    role: "layer", one alone; "unit", what counts as one operation (conv, norm and activation); "group", a module, or a
    part of one that holds very many; "repeat", equal siblings one after the other. path: the module's or layer's name;
    title: what of it its parent's name does not say. parent: index of the entry around it, -1 for the network itself.
    times: copies in a repeat, each of the next `period` siblings among its children. main: the layer that a unit or
    layer is named after.
    """

    role: Role
    path: str
    title: str
    parent: int
    start: int
    stop: int
    times: int = 1
    period: int = 1
    main: int = -1


@dataclass(frozen=True, slots=True)
class LayerOutline:
    """Entries in the order in which they are read, each before its children; the first is the network.

    order: layers as the entries count them. edges: (source, target) by place in `order`, without doubles.
    """

    entries: tuple[Entry, ...]
    order: tuple[Layer, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Branch:
    """An entry being built; `alike` is equal for branches that differ in nothing that is drawn."""

    role: Role
    path: str
    children: list[_Branch] = field(default_factory=list["_Branch"])
    layer: Layer | None = None
    main: Layer | None = None
    times: int = 1
    period: int = 1
    alike: int = -1
    first: int = 0  # when the first of its layers runs

    def layers(self) -> Iterator[Layer]:
        if self.layer:
            yield self.layer
        for child in self.children:
            yield from child.layers()


def outline(graph: LayerGraph) -> LayerOutline:
    """The outline of a graph; where a network cannot run, what fails is its last layer, of the kind "failed"."""
    layers = _with_failure(graph)
    root = _Branch("group", "", _Builder(graph, layers).children("", layers))
    order = tuple(root.layers())
    place = {layer.id: i for i, layer in enumerate(order)}
    edges = {(place[source], place[layer.id]): None for layer in order for source in layer.inputs}
    return LayerOutline(tuple(_entries(root, place)), order, tuple(edges))


def _with_failure(graph: LayerGraph) -> list[Layer]:
    if not (failure := graph.failure):
        return list(graph.layers)
    path = failure.path or "output"
    name = f"{path}#{FAILED}" if path in graph else path
    last = graph.layers[-1:]
    inputs, shapes = tuple(layer.id for layer in last), tuple(layer.output_shape for layer in last)
    stop = Layer(name, FAILED, graph.scopes.get(path, ""), path.rpartition(".")[0], inputs, shapes, ((),))
    return [*graph.layers, stop]


def _entries(root: _Branch, place: dict[str, int]) -> list[Entry]:
    found: dict[int, Entry] = {}
    numbers = count()

    def walk(branch: _Branch, parent: int, around: str, start: int) -> int:
        at = next(numbers)
        title = branch.path.removeprefix(f"{around}.") if around else branch.path
        main = place[branch.main.id] if branch.main else -1
        stop = start + (branch.layer is not None)
        inner = around if branch.role in ("unit", "repeat") else branch.path
        for child in branch.children:
            stop = walk(child, at, inner, stop)
        found[at] = Entry(branch.role, branch.path, title, parent, start, stop, branch.times, branch.period, main)
        return stop

    walk(root, -1, "", 0)
    return [found[at] for at in range(len(found))]


class _Builder:
    def __init__(self, graph: LayerGraph, layers: list[Layer]) -> None:
        self.scopes = graph.scopes
        self.rank = {layer.id: i for i, layer in enumerate(layers)}
        self.readers: dict[str, list[Layer]] = {layer.id: [] for layer in layers}
        for layer in layers:
            for source in dict.fromkeys(layer.inputs):
                self.readers[source].append(layer)
        self.known: dict[Hashable, int] = {}

    def children(self, scope: str, layers: list[Layer]) -> list[_Branch]:
        """What is directly inside a module: its own layers in units, its modules, and repeats of either."""
        found: list[_Branch] = []
        own: list[Layer] = []
        for path, members in self._without_circles(self._parts(scope, layers)):
            if path:
                found.append(self._module(path, members))
            else:
                own += members
        found += self._units(own)
        found.sort(key=lambda branch: branch.first)
        return self._in_parts(scope, self._repeats(found))

    def _in_parts(self, scope: str, children: list[_Branch]) -> list[_Branch]:
        """Where a module holds very many things, parts of it that can be closed."""
        if len(children) <= _MANY:
            return children
        step = max(10, math.isqrt(len(children)))
        parts = [children[i : i + step] for i in range(0, len(children), step)]
        skip = len(scope) + 1 if scope else 0
        return [
            self._known(_Branch("group", f"{part[0].path} … {part[-1].path[skip:]}", part), "part") for part in parts
        ]

    @staticmethod
    def _parts(scope: str, layers: list[Layer]) -> list[tuple[str, list[Layer]]]:
        """(path of an inner module, its layers); a layer of the module itself stands alone, with no path."""
        skip = len(scope) + 1 if scope else 0
        inner: dict[str, list[Layer]] = {}
        alone: list[tuple[str, list[Layer]]] = []
        for layer in layers:
            if layer.scope == scope:
                alone.append(("", [layer]))
            else:
                end = layer.scope.find(".", skip)
                inner.setdefault(layer.scope if end < 0 else layer.scope[:end], []).append(layer)
        return [*inner.items(), *alone]

    def _without_circles(self, parts: list[tuple[str, list[Layer]]]) -> list[tuple[str, list[Layer]]]:
        """A module that is used again later is drawn once per use, where one box would be before and after others."""
        while circle := self._circle(parts):
            splits = {
                i: pieces for i in circle if len(pieces := self._pieces(parts[i][1], [parts[j][1] for j in circle])) > 1
            }
            parts = [(path, piece) for i, (path, members) in enumerate(parts) for piece in splits.get(i, [members])]
        return parts

    def _circle(self, parts: list[tuple[str, list[Layer]]]) -> list[int]:
        spans = sorted((self.rank[members[0].id], self.rank[members[-1].id]) for _, members in parts)
        if all(last < first for (_, last), (first, _) in zip(spans, spans[1:], strict=False)):
            return []  # one after the other
        of = {layer.id: i for i, (_, members) in enumerate(parts) for layer in members}
        sorter: TopologicalSorter[int] = TopologicalSorter()
        for i, (_, members) in enumerate(parts):
            sources = {of[name] for layer in members for name in layer.inputs if name in of}
            sorter.add(i, *(sources - {i}))
        try:
            sorter.prepare()
        except CycleError as error:
            return sorted(set(error.args[1]))
        return []

    def _pieces(self, members: list[Layer], all_parts: list[list[Layer]]) -> list[list[Layer]]:
        """Members in runs of the order of execution between which no layer of another part runs."""
        others = sorted(self.rank[layer.id] for part in all_parts if part is not members for layer in part)
        found: list[list[Layer]] = []
        before = -1
        for layer in members:
            between = sum(1 for rank in others if rank < self.rank[layer.id])
            if between != before:
                found.append([])
            found[-1].append(layer)
            before = between
        return found

    def _module(self, path: str, layers: list[Layer]) -> _Branch:
        """A module; one that holds a single thing is that thing, under its own name unless it is a mere container."""
        children = self.children(path, layers)
        if len(children) == 1 and children[0].role != "repeat":
            only = children[0]
            if only.role == "unit":
                only.path = path
            if only.role != "group" or self.scopes.get(path) in MERE_CONTAINERS:
                return only
            children = only.children
        return self._known(_Branch("group", path, children), ("group", self.scopes.get(path, "")))

    def _known(self, branch: _Branch, what: Hashable) -> _Branch:
        key = (what, *(child.alike for child in branch.children))
        branch.alike = self.known.setdefault(key, len(self.known))
        branch.first = self.rank[branch.layer.id] if branch.layer else branch.children[0].first
        return branch

    # -- units --------------------------------------------------------------------------------------------------------

    def _units(self, layers: list[Layer]) -> Iterator[_Branch]:
        for chain in self._chains(layers):
            for unit in _cut(chain):
                yield self._unit(unit)

    def _chains(self, layers: list[Layer]) -> Iterator[list[Layer]]:
        """Layers one after the other, each the only reader of the one before."""
        here = {layer.id for layer in layers}
        taken: set[str] = set()
        for layer in layers:
            if layer.id in taken:
                continue
            chain = [layer]
            while (after := self._only_reader(chain[-1])) and after.id in here and after.id not in taken:
                chain.append(after)
                taken.add(after.id)
            yield chain

    def _only_reader(self, layer: Layer) -> Layer | None:
        readers = self.readers[layer.id]
        return readers[0] if len(readers) == 1 and len(set(readers[0].inputs)) == 1 else None

    def _unit(self, layers: list[Layer]) -> _Branch:
        leaves = [self._leaf(layer) for layer in layers]
        if len(leaves) == 1:
            return leaves[0]
        main = next((layer for layer in layers if layer.kind in _HEADS), layers[0])
        return self._known(_Branch("unit", main.id, leaves, main=main), "unit")

    def _leaf(self, layer: Layer) -> _Branch:
        groups = layer.attributes.get("groups")
        what = (layer.kind, layer.op, layer.window, layer.outputs, layer.input_shapes, layer.param_count, str(groups))
        return self._known(_Branch("layer", layer.id, layer=layer, main=layer), what)

    # -- repeats ------------------------------------------------------------------------------------------------------

    def _repeats(self, children: list[_Branch]) -> list[_Branch]:
        """Equal siblings one after the other, under one entry; not where they are all that there is of two."""
        found: list[_Branch] = []
        for start, period, times in runs([child.alike for child in children]):
            copies = children[start : start + period * times]
            if times == 1 or not self._in_a_row(copies, period):
                found += copies
                continue
            repeat = _Branch("repeat", copies[0].path, copies, times=times, period=period)
            found.append(self._known(repeat, ("repeat", times, period)))
        return found

    def _in_a_row(self, copies: list[_Branch], period: int) -> bool:
        """Whether each copy reads the one before it; equal branches side by side are not a repeat."""
        size = len(copies) // period
        names = [
            {layer.id for branch in copies[i * period : (i + 1) * period] for layer in branch.layers()}
            for i in range(size)
        ]
        return all(
            any(source in before for branch in copies[i * period : (i + 1) * period] for layer in branch.layers()
                for source in layer.inputs)
            for i, before in enumerate(names[:-1], start=1)
        )  # fmt: skip


def _cut(chain: list[Layer]) -> Iterator[list[Layer]]:
    """Units of a chain: conv, norm, activation; or norm, activation, conv where the chain begins so."""
    run: list[Layer] = []
    for layer in chain:
        if _fits(run, layer):
            run.append(layer)
        else:
            if run:
                yield run
            run = [layer]
    if run:
        yield run


def _fits(run: list[Layer], layer: Layer) -> bool:
    """Whether a unit goes on with a layer: each kind once; what ends in its conv after a norm is complete."""
    if not run:
        return True
    role, roles = _role(layer), [_role(before) for before in run]
    if "other" in (role, *roles) or role in roles or (role == "head" and "join" in roles):
        return False
    if roles[0] in ("norm", "activation"):
        return "head" not in roles  # pre-activation: it ends with its head
    return role in ("norm", "activation", "dropout") and (roles[0] != "join" or role == "activation")


def _role(layer: Layer) -> str:
    if layer.kind in _HEADS:
        return "head"
    if layer.kind in _NORMS:
        return "norm"
    if layer.kind in _ACTIVATIONS:
        return "activation"
    return {"add": "join", "dropout": "dropout"}.get(layer.kind, "other")
