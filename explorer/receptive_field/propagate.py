"""How layers carry fields on: a quick rule per kind for plain maps and tokens, the general ones for all else.

Two fields are followed: the strict one, and the local one that leaves out what reads the whole map to make a gate or a
statistic (squeeze-excitation, attention, group norm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import prod

from explorer.graph.layers import Layer, LayerGraph
from explorer.receptive_field import dims, mixing, moving, orders, quick
from explorer.receptive_field.field_state import FieldState
from explorer.receptive_field.general import general
from explorer.receptive_field.index_map import IndexMap
from explorer.receptive_field.intervals import pixels
from explorer.receptive_field.quick import everything
from explorer.receptive_field.scatter import Tracked, may_be_zero, scattered, settled
from explorer.receptive_field.summary import summary
from explorer.receptive_field.tables import TooLargeError


@dataclass
class Followed:
    """What is known of every layer's output: in the form in which it was followed, and in the quick form.

    lost: ids of the layers of unknown kind, or whose rule fails, which are taken to read everything.
    """

    tracked: dict[str, Tracked] = field(default_factory=dict[str, Tracked])
    states: dict[str, FieldState] = field(default_factory=dict[str, FieldState])
    pieces: dict[str, tuple[Tracked, ...]] = field(default_factory=dict[str, "tuple[Tracked, ...]"])
    lost: set[str] = field(default_factory=set[str])


def follow(graph: LayerGraph) -> Followed:
    """The states of all layers, in order."""
    found = Followed()
    for layer in graph:
        state = _guarded(graph, layer, found)
        if state is None and prod(layer.output_shape):  # what has no elements sees nothing, which is within everything
            found.lost.add(layer.id)
        if not isinstance(state, FieldState | IndexMap):
            state = everything(layer, [found.states[name] for name in layer.inputs])
        found.tracked[layer.id] = state
        found.states[layer.id] = _summary(layer, state, found)
    return found


def _summary(layer: Layer, state: Tracked, found: Followed) -> FieldState:
    """The quick form of a layer's state; that of its input where it leaves all as it was."""
    if isinstance(state, FieldState):
        return state
    unchanged = len(layer.inputs) == 1 and state is found.tracked[layer.inputs[0]]
    return found.states[layer.inputs[0]] if unchanged else summary(state, layer.output_shape)


def _guarded(graph: LayerGraph, layer: Layer, found: Followed) -> Tracked | TooLargeError | None:
    """The state of a layer's output; None where no rule tells it, or the rule fails: arguments are whatever a
    network's code passes, and one that no rule foresaw ends no analysis."""
    try:
        state = _followed(graph, layer, found)
        if isinstance(state, FieldState) and state.layout == dims.MAP and state.map_size != state.shape[2:]:
            return None  # a map of another size than its rows and columns
    except TooLargeError as error:
        return error
    except Exception:
        return None
    return state


def _followed(graph: LayerGraph, layer: Layer, found: Followed) -> Tracked | None:
    written = layer.attributes.get("written", 0)
    if not written:
        return _unwritten(graph, layer, found)
    if written == len(layer.inputs):
        return None  # what was written, and into a tensor of which nothing else is known
    attributes = {name: value for name, value in layer.attributes.items() if name != "written"}
    read = layer.inputs[:-written]
    state = _unwritten(graph, replace(layer, inputs=read, attributes=attributes), found)
    others = [scattered(found.tracked[name]) for name in layer.inputs[-written:]]
    return state and replace(mixing.gated(scattered(state), others), is_exact=False)


def _unwritten(graph: LayerGraph, layer: Layer, found: Followed) -> Tracked | None:
    inputs = [found.tracked[name] for name in layer.inputs]
    if layer.kind in ("chunk", "unbind"):
        found.pieces[layer.id] = cut = _cut(layer, inputs[0])
        return cut[0]
    if layer.kind == "select" and len(inputs) == 1 and (source := graph[layer.inputs[0]]):
        index = layer.attributes.get("index")
        pieces = found.pieces.get(source.id) or (inputs[0],) * len(source.outputs)
        if len(source.outputs) > 1 and isinstance(index, int):
            return pieces[index]
        if len(source.outputs) > 1 and isinstance(index, slice):
            found.pieces[layer.id] = pieces[index]
            return pieces[index][0]
        of_a_tuple = isinstance(index, int) and len(layer.output_shape) == len(source.output_shape)
        if of_a_tuple or layer.op == "getattr":
            return inputs[0]
    return propagate(layer, inputs)


def propagate(layer: Layer, inputs: Sequence[Tracked]) -> Tracked | None:
    """The state of a layer's output from those of its inputs; None where no rule tells it. Raises TooLargeError."""
    state = _image(layer) if layer.kind == "input" else _by_rule(layer, inputs)
    if state is None:
        return None
    exact = state.is_exact and (layer.kind == "constant" or all(each.is_exact for each in inputs))
    if len(inputs) > 1 and layer.kind in _PRODUCTS and any(map(may_be_zero, inputs)):
        exact = False  # what is multiplied by padding is not seen
    if isinstance(state, IndexMap):
        if state.shape != layer.output_shape:
            raise ValueError(f"{state.shape} for an output of {layer.output_shape}")
        return state if exact == state.is_exact else replace(state, is_exact=exact)
    if state.shape == layer.output_shape and state.is_exact == exact:
        return state
    return FieldState(
        layer.output_shape, state.layout, state.map_size, state.strict, state.local, exact, state.parts, state.boxes
    )


_PRODUCTS = frozenset(("mul", "addcmul", "lerp", "where", "pow", "matmul", "einsum", "attention"))


def _image(layer: Layer) -> FieldState:
    size = layer.output_shape[-2:]
    rows = pixels(size[0])
    one = rows, rows if size[1] == size[0] else pixels(size[1])
    return FieldState(layer.output_shape, dims.MAP, (size[0], size[1]), one, one)


def _by_rule(layer: Layer, inputs: Sequence[Tracked]) -> Tracked | None:
    if len(inputs) == 1 and layer.kind in quick.ALIKE and not layer.attributes.get("training"):
        return inputs[0]
    plain = [state for state in inputs if isinstance(state, FieldState)]
    if len(plain) == len(inputs) and (state := quick.quick(layer, plain)) is not None:
        return state
    found = general(layer, [scattered(state) for state in inputs])
    return found and settled(found)


def _cut(layer: Layer, state: Tracked) -> tuple[Tracked, ...]:
    """What chunk, split and unbind take a tensor apart into."""
    if isinstance(state, FieldState) and layer.kind == "chunk":
        at = orders.place(layer, len(state.layout))
        ends = list(accumulate(shape[at] for shape in layer.outputs))
        kept = [range(end - shape[at], end) for end, shape in zip(ends, layer.outputs, strict=True)]
        quickly = [quick.cut(state, at, each) for each in kept]
        if all(quickly):
            return tuple(each for each in quickly if each is not None)
    apart = moving.pieces if layer.kind == "chunk" else moving.unbound
    return tuple(settled(each) for each in apart(layer, scattered(state)))
