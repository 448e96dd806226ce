"""Two layer graphs laid beside each other: which layers correspond, and what became of those that do.

Modules are matched before the layers inside them, by what they are made of rather than by their names alone, so that a
block more shifts no other. Within siblings the order is kept: it is the alignment of two sequences (Needleman and
Wunsch, J. Mol. Biol. 48, 1970, p. 443) without a price for gaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from explorer.graph import ops
from explorer.graph.layers import Layer, LayerGraph

Fate = Literal["same", "follows", "changed", "added", "removed"]

_ROLES = {
    **dict.fromkeys(ops.ACTIVATIONS, "activation"),
    **dict.fromkeys(
        ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"), "norm"
    ),
    **dict.fromkeys(("max_pool", "avg_pool", "lp_pool"), "pool"),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool", "mean"), "global pool"),
    **dict.fromkeys(("add", "concat"), "merge"),
}  # fmt: skip
_MAKES_CHANNELS = {"conv": 1, "conv_transpose": 1, "conv1d": 1, "conv3d": 1, "conv_transpose1d": 1,
                   "conv_transpose3d": 1, "linear": -1}  # fmt: skip
# Attributes that the window says already, or that follow from shapes.
_FOLLOWING = frozenset(
    ("stride", "padding", "dilation", "groups", "fan_in", "operands", "joined", "input_shape", "sizes", "training",
     "normalized_shape")
)  # fmt: skip
_UNIT = 1000  # likeness of two equal layers: whole numbers, so that ties are exact
_SHARES = (350, 150, 200, 150, 150)  # of it: for role, kind, window, own definition, shapes
_SAME_NAME = 20
_LIKE = 0.5  # from here on two modules may correspond


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not equal in two layers that correspond; own: it is no mere consequence of another input."""

    what: str
    before: Any
    after: Any
    own: bool


@dataclass(frozen=True, slots=True)
class Correspondence:
    """A layer of each network, or of one alone.

    fate: "same" in everything, "follows" where only what comes in differs and so shapes and sizes do, "changed" where
    the layer itself does, "added", "removed".
    """

    left: str | None
    right: str | None
    fate: Fate
    differences: tuple[Difference, ...] = ()

    def swapped(self) -> Correspondence:
        """The same, seen from the other network."""
        other: dict[Fate, Fate] = {"added": "removed", "removed": "added"}
        turned = tuple(Difference(d.what, d.after, d.before, d.own) for d in self.differences)
        return Correspondence(self.right, self.left, other.get(self.fate, self.fate), turned)


@dataclass(frozen=True)
class Alignment:
    """All layers of two networks in one order, which is that of each of them by modules."""

    rows: tuple[Correspondence, ...]

    @cached_property
    def right_of(self) -> dict[str, str]:
        """Layers of the left network → those of the right one that they correspond to."""
        return {row.left: row.right for row in self.rows if row.left is not None and row.right is not None}

    @cached_property
    def counts(self) -> dict[Fate, int]:
        """How many layers there are of each fate."""
        found = Counter(row.fate for row in self.rows)
        fates: tuple[Fate, ...] = ("same", "follows", "changed", "added", "removed")
        return {fate: found[fate] for fate in fates}

    def marks(self, side: Literal["left", "right"]) -> dict[str, str]:
        """For a graph of one network: layers → "removed" (left), "added" (right) or "changed" (both)."""
        named = ((row.left if side == "left" else row.right, row.fate) for row in self.rows)
        return {name: fate for name, fate in named if name is not None and fate in ("added", "removed", "changed")}

    def swapped(self) -> Alignment:
        """The same, seen from the other network."""
        return Alignment(tuple(row.swapped() for row in self.rows))


def align(left: LayerGraph, right: LayerGraph) -> Alignment:
    """Find for each layer of one network the one of the other that it corresponds to, if any.

    The same pairs come out whichever network is the left one.
    """
    made = _Trees()
    trees = [made.of(graph) for graph in (left, right)]
    if trees[1].order() < trees[0].order():
        return Alignment(tuple(_rows(trees[1], trees[0]))).swapped()
    return Alignment(tuple(_rows(trees[0], trees[1])))


def definition(layer: Layer) -> dict[str, Any]:
    """What a layer is by itself, whatever comes in: the fields that make it "changed" where they differ.

    The groups of a depthwise convolution are as many as its channels, which then come from its input.
    """
    found: dict[str, Any] = {"kind": layer.kind}
    if layer.window:
        window = layer.window
        found |= {"kernel": window.kernel, "stride": window.stride, "dilation": window.dilation}
        found["padding"] = window.padding
    if layer.kind in _MAKES_CHANNELS and layer.param_count:
        found |= _channels(layer)
    if layer.kind.startswith("adaptive"):
        found["output size"] = layer.output_shape[2:]
    found["weights"] = tuple(sorted(name.rpartition(".")[2] for name in layer.parameters))
    found["inputs"] = len(layer.inputs)
    kept = {name: value for name, value in layer.attributes.items() if name not in _FOLLOWING}
    return found | {
        name: value if isinstance(value, (int, float, str)) else repr(value) for name, value in kept.items()
    }


def _channels(layer: Layer) -> dict[str, Any]:
    axis, groups = _MAKES_CHANNELS[layer.kind], layer.attributes.get("groups", 1)
    out = layer.output_shape[axis]
    read = layer.input_shapes[0][axis] if layer.input_shapes else 0
    if groups == read > 1:
        return {"groups": "depthwise", "channels": f"{out / read:g} per channel"}
    return {"groups": groups, "channels": out}


def _differences(left: Layer, right: Layer) -> tuple[Difference, ...]:
    before, after = definition(left), definition(right)
    names = dict.fromkeys((*before, *after))
    own = [Difference(n, before.get(n), after.get(n), True) for n in names if before.get(n) != after.get(n)]
    follows = [
        Difference(what, old, new, False)
        for what, old, new in (
            ("input", left.input_shapes, right.input_shapes),
            ("output", left.outputs, right.outputs),
            ("parameters", left.param_count, right.param_count),
        )
        if old != new
    ]
    return (*own, *follows)


# -- what is compared: modules and layers as trees --------------------------------------------------------------------


@dataclass(eq=False)
class _Node:
    """A module or a layer; made_of: how many of its layers have each of the features that make layers alike."""

    name: str
    layer: Layer | None = None
    children: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    size: int = 0
    made_of: dict[_Feature, int] = field(default_factory=dict["_Feature", int])

    def layers(self) -> Iterator[_Node]:
        """The layers in it, in order; itself where it is one."""
        if self.layer is not None:
            yield self
        for child in self.children.values():
            yield from child.layers()

    def order(self) -> tuple[int, list[str]]:
        """Equal for equal networks only, to tell of two which is aligned to which."""
        return self.size, [f"{leaf.name} {leaf.layer!r}" for leaf in self.layers()]


@dataclass(frozen=True, slots=True, eq=False)
class _Feature:
    """What layers may have in common, and what that counts; one object per feature, as these hash fast."""

    share: int


class _Trees:
    """Networks as trees, whose layers share the features that are equal."""

    def __init__(self) -> None:
        self._features: dict[Hashable, _Feature] = {}

    def of(self, graph: LayerGraph) -> _Node:
        root = _Node("")
        for layer in graph:
            parent = root
            for part in layer.scope.split(".") if layer.scope else ():
                parent = parent.children.setdefault(part, _Node(part))
            name = layer.id.removeprefix(f"{layer.scope}.") if layer.scope else layer.id
            leaf = _Node(name, layer, size=1, made_of=dict.fromkeys(self._of_layer(layer), 1))
            parent.children[f"{name} "] = leaf  # the blank keeps a layer apart from a module of that name
        _sum_up(root)
        return root

    def _of_layer(self, layer: Layer) -> Iterator[_Feature]:
        own, kind, window = tuple(definition(layer).items()), layer.kind, layer.window
        look = window and (window.kernel, window.stride, window.dilation)
        shapes = (layer.input_shapes, layer.outputs, layer.param_count)
        keys = (_ROLES.get(kind, kind), (kind,), (kind, look), own, (own, shapes))
        for level, (share, key) in enumerate(zip(_SHARES, keys, strict=True)):
            yield self._features.setdefault((level, key), _Feature(share))


def _sum_up(node: _Node) -> None:
    for child in node.children.values():
        if child.layer is None:
            _sum_up(child)
        node.size += child.size
        for feature, count in child.made_of.items():
            node.made_of[feature] = node.made_of.get(feature, 0) + count


# -- which correspond -------------------------------------------------------------------------------------------------


def _rows(left: _Node, right: _Node) -> Iterator[Correspondence]:
    yield from _siblings(list(left.children.values()), list(right.children.values()))


def _siblings(left: Sequence[_Node], right: Sequence[_Node]) -> Iterator[Correspondence]:
    """Align the children of two modules; what is left between those that correspond may lie at different depths."""
    if len(left) == len(right) == 1 and left[0].layer is None and right[0].layer is None:
        yield from _rows(left[0], right[0])
        return
    scores = _scores(left, right)
    alone = [*_wrappers(left, scores), *_wrappers(right, scores.T)]
    if alone:
        widest = max(alone, key=lambda node: node.size)
        yield from _siblings(_opened(left, widest), _opened(right, widest))
        return
    for before, after, pair in _stretches(scores):
        yield from _between(left[before], right[after])
        if pair:
            yield from _pair(left[pair[0]], right[pair[1]])


def _scores(left: Sequence[_Node], right: Sequence[_Node], either_of: set[_Node] | None = None) -> np.ndarray:
    """What each pair [left, right] is worth; with `either_of`, pairs without one of them are worth nothing.

    So layers of two modules that are not alike do not correspond either.
    """
    free = {*left, *right} if either_of is None else either_of
    found = np.zeros((len(left), len(right)), np.int64)
    for i, one in enumerate(left):
        found[i] = [_worth(one, other) if one in free or other in free else 0 for other in right]
    return found


def _wrappers(side: Sequence[_Node], scores: np.ndarray) -> list[_Node]:
    """The module, if any, that holds two thirds of these layers, but is like nothing on the other side."""
    total = sum(node.size for node in side)
    alone = [node for node, row in zip(side, scores, strict=True) if node.layer is None and not row.any()]
    return [node for node in alone if 3 * node.size > 2 * total]


def _opened(side: Sequence[_Node], module: _Node) -> list[_Node]:
    """The siblings with what is inside of one of them in its place."""
    return [inner for node in side for inner in (node.children.values() if node is module else (node,))]


def _pair(left: _Node, right: _Node) -> Iterator[Correspondence]:
    if left.layer is None or right.layer is None:
        yield from _rows(left, right)
        return
    differences = _differences(left.layer, right.layer)
    fate: Fate = "changed" if any(d.own for d in differences) else "follows" if differences else "same"
    yield Correspondence(left.layer.id, right.layer.id, fate, differences)


def _between(left: Sequence[_Node], right: Sequence[_Node]) -> Iterator[Correspondence]:
    """What found no partner at its own depth: a single module is opened, else layers are sought inside modules."""
    for one, other in ((left, right), (right, left)):
        if len(one) == 1 and one[0].layer is None and len(other) > 1:
            yield from _siblings(_opened(left, one[0]), _opened(right, one[0]))
            return
    lefts, rights = ([leaf for node in side for leaf in node.layers()] for side in (left, right))
    scores = _scores(lefts, rights, {node for node in (*left, *right) if node.layer is not None})
    for before, after, pair in _stretches(scores):
        yield from (_alone(leaf, "removed") for leaf in lefts[before])
        yield from (_alone(leaf, "added") for leaf in rights[after])
        if pair:
            yield from _pair(lefts[pair[0]], rights[pair[1]])


def _alone(leaf: _Node, fate: Fate) -> Correspondence:
    assert leaf.layer is not None
    name = leaf.layer.id
    return Correspondence(name, None, fate) if fate == "removed" else Correspondence(None, name, fate)


def _worth(left: _Node, right: _Node) -> int:
    """What it is worth that these two correspond, in thousandths of a layer; 0 where they cannot."""
    if (left.layer is None) != (right.layer is None):
        return 0
    alike, mean = _common(left.made_of, right.made_of), (left.size + right.size) / 2
    overlap, likeness = alike / (_UNIT * min(left.size, right.size)), alike / (_UNIT * mean)
    same_name = left.name == right.name
    if same_name:  # a stage of more blocks is the same stage
        likeness = (likeness + overlap) / 2
    if likeness < _LIKE:
        return _UNIT // 10 if left.layer is not None and alike else 0
    # The square prefers one pair that fits to two that do half.
    return round((_UNIT * likeness**2 + _SAME_NAME * same_name) * mean)


def _common(left: Mapping[_Feature, int], right: Mapping[_Feature, int]) -> int:
    """What two modules have in common, in thousandths of a layer."""
    if len(right) < len(left):
        left, right = right, left
    total = 0
    for feature, count in left.items():
        other = right.get(feature)
        if other is not None:
            total += feature.share * min(count, other)
    return total


def _stretches(scores: np.ndarray) -> Iterator[tuple[slice, slice, tuple[int, int] | None]]:
    """The best pairs in order, each after the rows and the columns that it leaves alone; None after the last ones."""
    i = j = 0
    for row, column in _best(scores):
        yield slice(i, row), slice(j, column), (row, column)
        i, j = row + 1, column + 1
    yield slice(i, None), slice(j, None), None


def _best(scores: np.ndarray) -> Iterator[tuple[int, int]]:
    """The pairs (row, column), both rising, whose scores [rows, columns] add up to most; the earliest on ties."""
    rows, columns = scores.shape
    best = np.zeros((rows + 1, columns + 1), np.int64)  # of what follows (row, column)
    for i in range(rows - 1, -1, -1):
        with_pair = np.maximum(best[i + 1, :-1], best[i + 1, 1:] + scores[i])
        best[i, :-1] = np.maximum.accumulate(with_pair[::-1])[::-1]
    i = j = 0
    while i < rows and j < columns and best[i, j] > 0:
        if scores[i, j] and best[i, j] == best[i + 1, j + 1] + scores[i, j]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
