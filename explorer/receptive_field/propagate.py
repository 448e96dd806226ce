"""How each kind of layer carries fields on: one rule per kind, from the states of its inputs to that of its output.

Two fields are followed: the strict one, and the local one that leaves out what reads the whole map to make a gate or a
statistic (squeeze-excitation, attention, group norm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from explorer.graph import ops
from explorer.graph.layers import Layer, LayerGraph
from explorer.receptive_field import dims, indexing, taps
from explorer.receptive_field.field_state import BOTH, FieldState, axes_of, moved, over, over_labels, seen_by_all, whole
from explorer.receptive_field.intervals import Axis, blind, joined, pixels, spread, union
from explorer.types import Shape


def follow(graph: LayerGraph) -> tuple[dict[str, FieldState], frozenset[str]]:
    """The state of every layer's output by id, and the ids of the layers whose rule fails, which see everything."""
    states: dict[str, FieldState] = {}
    lost: set[str] = set()
    for layer in graph:
        inputs = [states[name] for name in layer.inputs]
        try:
            state = propagate(layer, inputs)
            if state.layout == dims.MAP and state.map_size != state.shape[2:]:
                raise ValueError(f"a map of {state.map_size} for an output of {state.shape}")
        except Exception:  # arguments are whatever a network's code passes: one that no rule foresaw ends no analysis
            lost.add(layer.id)
            state = replace(_everything(layer, inputs), shape=layer.output_shape)
        states[layer.id] = state
    return states, frozenset(lost)


def propagate(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """The state of a layer's output, from those of its inputs."""
    if layer.kind == "input":
        size = layer.output_shape[-2:]
        rows = pixels(size[0])
        one = rows, rows if size[1] == size[0] else pixels(size[1])
        return FieldState(layer.output_shape, dims.MAP, (size[0], size[1]), one, one)
    state = _RULES.get(layer.kind, _everything)(layer, inputs)
    return state if state.shape == layer.output_shape else replace(state, shape=layer.output_shape)


def _constant(layer: Layer, _: list[FieldState]) -> FieldState:
    """A tensor made to the shape of another: it sees no pixel."""
    rows, columns = layer.output_shape[-2:] if layer.is_map else (1, 1)
    blank = blind(rows), blind(columns)
    return FieldState(layer.output_shape, dims.MAP if layer.is_map else None, (rows, columns), blank, blank)


def _pass(_: Layer, inputs: list[FieldState]) -> FieldState:
    return inputs[0]


def _resample(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """Layers with a window, and those that move or resize maps."""
    state = inputs[0]
    if state.layout is None or state.layout[-2:] != ("H", "W"):
        return whole(state)
    sizes_in, sizes_out = state.shape[-2:], layer.output_shape[-2:]
    found = [taps.of_layer(layer, a, sizes_in[a], sizes_out[a]) or taps.ONE_TO_ONE for a in (0, 1)]
    if layer.kind.startswith("adaptive") and max(sizes_in) > 1 and _swallows(found, sizes_in):
        return replace(whole(state), layout=state.layout, map_size=(1, 1))
    return moved(state, found, (sizes_out[0], sizes_out[1]))


def _swallows(found: list[taps.Taps], sizes: Shape) -> bool:
    return all(step == taps.everything(size) for step, size in zip(found, sizes, strict=True) if size > 1)


def _statistic(_: Layer, inputs: list[FieldState]) -> FieldState:
    """Norms whose statistics run over positions: strictly everything, locally one position."""
    state = inputs[0]
    return replace(state, strict=seen_by_all(state.strict, state.map_size))


def _batch_norm(layer: Layer, inputs: list[FieldState]) -> FieldState:
    return _statistic(layer, inputs) if layer.attributes.get("training") else inputs[0]


def _layer_norm(layer: Layer, inputs: list[FieldState]) -> FieldState:
    count = len(layer.attributes["normalized_shape"])
    return over(inputs[0], range(-count, 0), _statistic(layer, inputs))


def _softmax(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """softmax and normalize: over rows alone, or columns, a statistic of these."""
    state = inputs[0]
    if state.layout is None:
        return state
    along = axes_of(state.layout[i] for i in layer.numbers("dim") or (1,))
    return whole(state) if along == BOTH else replace(state, strict=seen_by_all(state.strict, state.map_size, along))


def _linear(layer: Layer, inputs: list[FieldState]) -> FieldState:
    return _contracted(layer, inputs[0], -1)


def _contracted(layer: Layer, state: FieldState, dim: int) -> FieldState:
    """Weighted sums over one dimension, which the results of several (or of one) take the place of."""
    if state.layout is None:
        return state
    rank, at = len(state.layout), dim % len(state.layout)
    kept = [dims.C] if len(layer.output_shape) >= rank else []
    labels = (*state.layout[:at], *kept, *state.layout[at + 1 :])
    grown = (dims.C,) * (len(layer.output_shape) - rank)  # weights for a batch of products
    return replace(over_labels(state, (state.layout[at],)), layout=(*grown, *labels))


def _conv1d(_: Layer, inputs: list[FieldState]) -> FieldState:
    return over(inputs[0], (-2, -1), whole(inputs[0]))


def _reduce(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """mean, sum, max …: over channels it changes no field, over positions it sees all of them."""
    if len(inputs) > 1:
        return _merge(layer, inputs)  # torch.max of two tensors
    state = inputs[0]
    if state.layout is None:
        return state
    gone = {i % len(state.layout) for i in layer.numbers("dim") or range(len(state.layout))}
    kept = len(layer.output_shape) == len(state.layout)
    labels = tuple(label for i, label in enumerate(state.layout) if kept or i not in gone)
    if len(labels) != len(layer.output_shape):
        return whole(state)
    return replace(over_labels(state, [state.layout[i] for i in gone]), layout=labels)


def _reshape(layer: Layer, inputs: list[FieldState]) -> FieldState:
    state = inputs[0]
    if state.layout is None:
        return state
    return replace(state, layout=dims.regroup(state.shape, state.layout, layer.output_shape, state.map_size))


def _permute(layer: Layer, inputs: list[FieldState]) -> FieldState:
    state = inputs[0]
    if state.layout is None:
        return state
    return replace(state, layout=dims.reorder(state.layout, _order(layer, len(state.layout))))


def _order(layer: Layer, rank: int) -> list[int]:
    order = list(range(rank))
    a = layer.attributes
    if layer.kind == "permute":
        return [i % rank for i in a["dims"]]
    if layer.kind == "transpose":
        i, j = int(a.get("dim0", 0)) % rank, int(a.get("dim1", 1)) % rank
        order[i], order[j] = order[j], order[i]
        return order
    sources, places = ([i % rank for i in _tuple(a[name])] for name in ("source", "destination"))
    order = [i for i in order if i not in sources]
    for place, source in sorted(zip(places, sources, strict=True)):
        order.insert(place, source)
    return order


def _tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _broadcast(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """expand and repeat: new leading dimensions carry no position; what lies flat has lost them."""
    state = inputs[0]
    if state.layout is None or len(layer.output_shape) < len(state.layout):
        return whole(state)
    grown = (dims.C,) * (len(layer.output_shape) - len(state.layout)) + state.layout
    tail = layer.output_shape[-len(state.layout) :]
    sizes = zip(state.layout, state.shape, tail, strict=True)
    same = all(before == after or label not in dims.SPATIAL for label, before, after in sizes)
    return replace(state, layout=grown) if same else whole(state)


def _merge(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """add, mul, channel concat …: the union of the branches; a branch with no position of its own is a gate."""
    located = [state for state in inputs if state.local is not None] or inputs
    lead = max(located, key=lambda state: (state.map_size[0] * state.map_size[1], len(state.shape)))
    if not all(_fits(state, lead) for state in inputs):
        return _everything(layer, inputs)
    strict = _unions([_stretched(state.strict, state.map_size, lead.map_size) for state in inputs], lead.map_size)
    if all(state.local is state.strict for state in inputs):
        return replace(lead, strict=strict, local=strict)
    seen = [_stretched(s.local, s.map_size, lead.map_size) for s in located if s.local is not None]
    return replace(lead, strict=strict, local=_unions(seen, lead.map_size) if seen else None)


def _fits(state: FieldState, lead: FieldState) -> bool:
    """Whether a branch has rows and columns where another has them, as many of them or one."""
    if state.layout == lead.layout and state.map_size == lead.map_size:
        return True
    sizes = zip(state.map_size, lead.map_size, strict=True)
    labels = zip(reversed(state.layout or ()), reversed(state.shape), reversed(lead.layout or ()), strict=False)
    return all(own in (1, wanted) for own, wanted in sizes) and all(
        size == 1 or own == there or own not in dims.SPATIAL for own, size, there in labels
    )


def _stretched(axes: tuple[Axis, Axis], own: tuple[int, int], wanted: tuple[int, int]) -> tuple[Axis, Axis]:
    """A branch of one row (column) broadcast over many: each of them sees what the one sees."""
    if own == wanted:
        return axes
    rows, columns = (
        spread(axis, m) if n == 1 and m > 1 else axis for axis, n, m in zip(axes, own, wanted, strict=True)
    )
    return rows, columns


def _unions(axes: list[tuple[Axis, Axis]], size: tuple[int, int]) -> tuple[Axis, Axis]:
    rows, columns = zip(*axes, strict=True)
    together = union(rows, size[0])
    same = size[0] == size[1] and all(a is b for a, b in axes)
    return together, together if same else union(columns, size[1])


def _concat(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """Along channels a merge; along rows or columns each position keeps its own field."""
    lead = inputs[0]
    dim = int(layer.attributes.get("dim", 0))
    label = lead.layout[dim] if lead.layout else dims.C
    if label not in ("H", "W"):
        return _merge(layer, inputs) if label in (dims.N, dims.C, dims.T) else _everything(layer, inputs)
    at = 0 if label == "H" else 1
    sizes = [state.map_size[at] for state in inputs]
    if any(state.layout != lead.layout for state in inputs) or sum(sizes) != layer.output_shape[dim]:
        return _everything(layer, inputs)  # weights are among them, or branches whose positions are not known

    def side_by_side(axes: list[tuple[Axis, Axis]]) -> tuple[Axis, Axis]:
        along = joined([pair[at] for pair in axes])
        across = union([pair[1 - at] for pair in axes], lead.map_size[1 - at])
        return (along, across) if at == 0 else (across, along)

    size = (sum(sizes), lead.map_size[1]) if at == 0 else (lead.map_size[0], sum(sizes))
    local = [state.local or state.strict for state in inputs]
    return replace(lead, map_size=size, strict=side_by_side([s.strict for s in inputs]), local=side_by_side(local))


def _stack(layer: Layer, inputs: list[FieldState]) -> FieldState:
    state = _merge(layer, inputs)
    if state.layout is None:
        return state
    labels = list(state.layout)
    labels.insert(int(layer.attributes.get("dim", 0)) % (len(labels) + 1), dims.C)
    return replace(state, layout=tuple(labels))


def _move(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """roll and flip: every position reads one other."""
    state = inputs[0]
    moved = layer.numbers("dims")
    return over(state, moved, whole(state)) if moved else whole(state)


def _matmul(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """Of an activation with weights: sums over one dimension. Of two activations: every position meets every other."""
    dim = layer.attributes.get("contracted")
    return _everything(layer, inputs) if dim is None else _contracted(layer, inputs[0], dim)


def _everything(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """What any position of any input sees, for a layer of which no more is known."""
    found = [whole(state) for state in inputs]
    return found[0] if len(found) == 1 else _merge(layer, found)


_Rule = Callable[[Layer, list[FieldState]], FieldState]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys((*ops.ACTIVATIONS, *ops.POINTWISE, "local_response_norm", "channel_shuffle"), _pass),
    **dict.fromkeys((*ops.ARITHMETIC, "where"), _merge),
    **dict.fromkeys(ops.REDUCTIONS, _reduce),
    **dict.fromkeys(("conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool", "adaptive_avg_pool"), _resample),
    **dict.fromkeys(("adaptive_max_pool", "interpolate", "pixel_shuffle", "pixel_unshuffle", "pad"), _resample),
    **dict.fromkeys(("flatten", "reshape", "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "movedim"), _permute),
    **dict.fromkeys(("expand", "repeat"), _broadcast),
    **dict.fromkeys(("chunk", "unbind"), indexing.chunk),
    **dict.fromkeys(("group_norm", "instance_norm"), _statistic),
    **dict.fromkeys(("softmax", "normalize"), _softmax),
    **dict.fromkeys(("roll", "flip"), _move),
    "linear": _linear,
    "conv1d": _conv1d,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "concat": _concat,
    "stack": _stack,
    "select": indexing.select,
    "slice": indexing.slice_,
    "index": indexing.index_,
    "matmul": _matmul,
    "attention": _everything,
    "constant": _constant,
}
