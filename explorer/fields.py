"""How each kind of layer carries fields on: one rule per kind, from the states of its inputs to that of its output.

Two fields are followed: the strict one, and the local one that leaves out what reads the whole map to make a gate or a
statistic (squeeze-excitation, attention, group norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from explorer import layout as dims
from explorer import ops, reads
from explorer.axes import Axis, compose, hull, span, union
from explorer.graph import Layer, Shape
from explorer.layout import Layout
from explorer.reads import Reads


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one tensor: its layout, the map its positions belong to, and both fields."""

    shape: Shape
    layout: Layout | None
    map_size: tuple[int, int]
    strict: tuple[Axis, Axis]
    local: tuple[Axis, Axis] | None

    @property
    def has_map(self) -> bool:
        """Whether positions can be told apart (rows and columns, or tokens), each with a field of its own."""
        labels = set(self.layout or ())
        return self.local is not None and ({dims.H, dims.W} <= labels or dims.T in labels)


def propagate(layer: Layer, inputs: list[State]) -> State:
    if layer.kind == "input":
        size = layer.output_shape[-2:]
        one = Axis(1, 1, ((0, 0),), (0, size[0] - 1)), Axis(1, 1, ((0, 0),), (0, size[1] - 1))
        return State(layer.output_shape, dims.MAP, (size[0], size[1]), one, one)
    rule = _RULES.get(layer.kind, _unknown)
    return replace(rule(layer, inputs), shape=layer.output_shape)


def _pass(layer: Layer, inputs: list[State]) -> State:
    return inputs[0]


def _resample(layer: Layer, inputs: list[State]) -> State:
    """Layers with a window, and those that move or resize maps."""
    state = inputs[0]
    if state.layout is None or state.layout[-2:] != ("H", "W"):
        return _whole(state, layer.output_shape)
    sizes_in, sizes_out = state.shape[-2:], layer.output_shape[-2:]
    found = [reads.of_layer(layer, a, sizes_in[a], sizes_out[a]) or reads.POINTWISE for a in (0, 1)]
    swallowed = all(r == reads.everything(n) for r, n in zip(found, sizes_in, strict=True) if n > 1)
    if swallowed and max(sizes_in) > 1 and layer.kind.startswith("adaptive"):
        return replace(_whole(state, layer.output_shape), layout=state.layout, map_size=(1, 1))
    return _moved(state, found, (sizes_out[0], sizes_out[1]))


def _moved(state: State, found: list[Reads], size: tuple[int, int]) -> State:
    """The state after rows and columns are read as `found` says, which gives maps of `size`."""

    def through(axes: tuple[Axis, Axis]) -> tuple[Axis, Axis]:
        return compose(axes[0], found[0], size[0]), compose(axes[1], found[1], size[1])

    return replace(state, map_size=size, strict=through(state.strict), local=state.local and through(state.local))


def _statistic(layer: Layer, inputs: list[State]) -> State:
    """Norms whose statistics run over positions: strictly everything, locally one position."""
    state = inputs[0]
    return replace(state, strict=_all(state.strict, state.map_size))


def _batch_norm(layer: Layer, inputs: list[State]) -> State:
    return _statistic(layer, inputs) if layer.attributes.get("training") else inputs[0]


def _layer_norm(layer: Layer, inputs: list[State]) -> State:
    count = len(layer.attributes["normalized_shape"])
    return _over(inputs[0], range(-count, 0), _statistic(layer, inputs))


def _softmax(layer: Layer, inputs: list[State]) -> State:
    dim = layer.attributes.get("dim")
    return _over(inputs[0], [1 if dim is None else int(dim)], _whole(inputs[0], layer.output_shape))


def _linear(layer: Layer, inputs: list[State]) -> State:
    state = _over(inputs[0], [-1], _whole(inputs[0], layer.output_shape))
    return replace(state, layout=state.layout and (*state.layout[:-1], dims.C))


def _over(state: State, at: Iterable[int], otherwise: State) -> State:
    """The state unchanged where none of the dimensions is spatial, else `otherwise`."""
    if state.layout is None:
        return state
    return otherwise if any(state.layout[i] in dims.SPATIAL for i in at) else state


def _reduce(layer: Layer, inputs: list[State]) -> State:
    """mean, sum, max …: over channels it changes no field, over positions it sees all of them."""
    state = inputs[0]
    if state.layout is None:
        return state
    dim = layer.attributes.get("dim")
    at = range(len(state.layout)) if dim is None else (dim if isinstance(dim, tuple) else (dim,))
    gone = {i % len(state.layout) for i in at}
    kept = len(layer.output_shape) == len(state.layout)
    labels = tuple(label for i, label in enumerate(state.layout) if kept or i not in gone)
    seen = _over(state, sorted(gone), _whole(state, layer.output_shape))
    return replace(seen, layout=labels if len(labels) == len(layer.output_shape) else None)


def _reshape(layer: Layer, inputs: list[State]) -> State:
    state = inputs[0]
    if state.layout is None:
        return state
    return replace(state, layout=dims.regroup(state.shape, state.layout, layer.output_shape, state.map_size))


def _permute(layer: Layer, inputs: list[State]) -> State:
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
    order.insert(int(a["destination"]) % rank, order.pop(int(a["source"]) % rank))
    return order


def _broadcast(layer: Layer, inputs: list[State]) -> State:
    """expand and repeat: new leading dimensions carry no position."""
    state = inputs[0]
    if state.layout is None:
        return state
    grown = (dims.C,) * (len(layer.output_shape) - len(state.layout)) + state.layout
    tail = layer.output_shape[-len(state.layout) :]
    sizes = zip(state.layout, state.shape, tail, strict=True)
    same = all(before == after or label not in dims.SPATIAL for label, before, after in sizes)
    return replace(state, layout=grown) if same else _whole(state, layer.output_shape)


def _merge(layer: Layer, inputs: list[State]) -> State:
    """add, mul, channel concat …: the union of the branches; a branch with no position of its own is a gate."""
    located = [state for state in inputs if state.local is not None] or inputs
    lead = max(located, key=lambda state: (state.map_size[0] * state.map_size[1], len(state.shape)))
    strict = [_stretched(state.strict, state.map_size, lead.map_size) for state in inputs]
    seen = [_stretched(s.local, s.map_size, lead.map_size) for s in located if s.local is not None]
    return replace(
        lead, strict=_unions(strict, lead.map_size), local=_unions(seen, lead.map_size) if seen else None
    )


def _stretched(axes: tuple[Axis, Axis], own: tuple[int, int], wanted: tuple[int, int]) -> tuple[Axis, Axis]:
    """A branch of one row (column) broadcast over many: each of them sees what the one sees."""
    rows, columns = (
        replace(axis, period=1, advance=0, intervals=(axis.interval(0),)) if n == 1 and m > 1 else axis
        for axis, n, m in zip(axes, own, wanted, strict=True)
    )
    return rows, columns


def _unions(axes: list[tuple[Axis, Axis]], size: tuple[int, int]) -> tuple[Axis, Axis]:
    rows, columns = axes[0]
    for other_rows, other_columns in axes[1:]:
        rows, columns = union(rows, other_rows, size[0]), union(columns, other_columns, size[1])
    return rows, columns


def _concat(layer: Layer, inputs: list[State]) -> State:
    """Along channels a merge; along rows or columns each position keeps its own field."""
    lead = inputs[0]
    dim = int(layer.attributes.get("dim", 0))
    label = lead.layout[dim] if lead.layout else dims.C
    if label not in ("H", "W") or len(inputs) != len(layer.inputs):
        return _merge(layer, inputs) if label in (dims.N, dims.C, dims.T) else _whole(lead, layer.output_shape)
    at = 0 if label == "H" else 1
    sizes = [state.map_size[at] for state in inputs]

    def joined(axes: list[tuple[Axis, Axis]]) -> tuple[Axis, Axis]:
        seen = tuple(pair[at].interval(i) for pair, n in zip(axes, sizes, strict=True) for i in range(n))
        along = Axis(len(seen), int(axes[0][at].stride * len(seen)), seen, span(pair[at].limit for pair in axes))
        across = _unions(axes, lead.map_size)[1 - at]
        return (along, across) if at == 0 else (across, along)

    size = (sum(sizes), lead.map_size[1]) if at == 0 else (lead.map_size[0], sum(sizes))
    local = [state.local or state.strict for state in inputs]
    return replace(lead, map_size=size, strict=joined([s.strict for s in inputs]), local=joined(local))


def _stack(layer: Layer, inputs: list[State]) -> State:
    state = _merge(layer, inputs)
    if state.layout is None:
        return state
    labels = list(state.layout)
    labels.insert(int(layer.attributes.get("dim", 0)) % (len(labels) + 1), dims.C)
    return replace(state, layout=tuple(labels))


def _chunk(layer: Layer, inputs: list[State]) -> State:
    """chunk, split, unbind: over channels no field changes."""
    state = inputs[0]
    if state.layout is None:
        return state
    dim = int(layer.attributes.get("dim", 0)) % len(state.layout)
    if state.layout[dim] in dims.SPATIAL:
        return _whole(state, layer.output_shape)
    if len(layer.output_shape) < len(state.layout):
        return replace(state, layout=state.layout[:dim] + state.layout[dim + 1 :])
    return state


def _select(layer: Layer, inputs: list[State]) -> State:
    """Indexing: of a tuple of tensors, or of a tensor by slices and integers."""
    state = inputs[0]
    index = layer.attributes.get("index")
    if state.layout is None or len(layer.inputs) != 1:
        return _whole(state, layer.output_shape) if state.layout else state
    if isinstance(index, int) and len(layer.output_shape) == len(state.layout):
        return state  # one tensor of a tuple
    return _indexed(layer, state, index if isinstance(index, tuple) else (index,))


def _indexed(layer: Layer, state: State, index: tuple[object, ...]) -> State:
    layout = state.layout or ()
    if index.count(...) == 1:
        at = index.index(...)
        missing = len(layout) - sum(i is not None for i in index) + 1
        index = (*index[:at], *([slice(None)] * missing), *index[at + 1 :])
    labels: list[str] = []
    taken = 0
    for item in index:
        if item is None:
            labels.append(dims.C)
            continue
        label, length = layout[taken], state.shape[taken]
        taken += 1
        if isinstance(item, slice):
            labels.append(label)
            state = _sliced(state, label, range(length)[item])
        elif label in dims.SPATIAL or not isinstance(item, int):
            return _whole(state, layer.output_shape)
    return replace(state, layout=(*labels, *layout[taken:]))


def _sliced(state: State, label: str, kept: range) -> State:
    """Rows or columns kept by a slice."""
    if label not in ("H", "W"):
        return state
    at = 0 if label == "H" else 1
    step = [reads.POINTWISE, reads.POINTWISE]
    step[at] = Reads(1, kept.step, ((kept.start,),))
    size = (len(kept), state.map_size[1]) if at == 0 else (state.map_size[0], len(kept))
    return _moved(state, step, size)


def _slice(layer: Layer, inputs: list[State]) -> State:
    """narrow and aten.slice: a slice along one dimension."""
    state = inputs[0]
    if state.layout is None:
        return state
    a = layer.attributes
    dim = int(a.get("dim", 0)) % len(state.layout)
    length = state.shape[dim]
    start = range(length)[slice(a.get("start", 0), None)].start
    step = int(a.get("step") or 1)
    return _sliced(state, state.layout[dim], range(start, start + layer.output_shape[dim] * step, step))


def _index(layer: Layer, inputs: list[State]) -> State:
    """Tensor.select: one position along a dimension."""
    state = inputs[0]
    if state.layout is None:
        return state
    return _indexed(layer, state, (slice(None),) * (int(layer.attributes["dim"]) % len(state.layout)) + (0,))


def _move(layer: Layer, inputs: list[State]) -> State:
    """roll and flip: every position reads one other."""
    state = inputs[0]
    moved = layer.attributes.get("dims") or ()
    moved = moved if isinstance(moved, tuple) else (moved,)
    return _over(state, moved, _whole(state, layer.output_shape)) if moved else _whole(state, layer.output_shape)


def _matmul(layer: Layer, inputs: list[State]) -> State:
    """Of an activation with weights: a linear layer. Of two activations: every position meets every other."""
    return _linear(layer, inputs) if len(inputs) == 1 else _whole(inputs[0], layer.output_shape)


def _unknown(layer: Layer, inputs: list[State]) -> State:
    return _whole(inputs[0], layer.output_shape)


def _whole(state: State, shape: Shape) -> State:
    """A tensor each of whose values may depend on every position."""
    return replace(state, layout=None, strict=_all(state.strict, state.map_size), local=None, map_size=(1, 1))


def _all(axes: tuple[Axis, Axis], size: tuple[int, int]) -> tuple[Axis, Axis]:
    return hull(axes[0], size[0]), hull(axes[1], size[1])


_Rule = Callable[[Layer, list[State]], State]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys((*ops.ACTIVATIONS, *ops.POINTWISE, "local_response_norm", "channel_shuffle"), _pass),
    **dict.fromkeys((*ops.ARITHMETIC, "where"), _merge),
    **dict.fromkeys(ops.REDUCTIONS, _reduce),
    **dict.fromkeys(("conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool", "adaptive_avg_pool"), _resample),
    **dict.fromkeys(("adaptive_max_pool", "interpolate", "pixel_shuffle", "pixel_unshuffle", "pad"), _resample),
    **dict.fromkeys(("flatten", "reshape", "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "movedim"), _permute),
    **dict.fromkeys(("expand", "repeat"), _broadcast),
    **dict.fromkeys(("chunk", "unbind"), _chunk),
    **dict.fromkeys(("group_norm", "instance_norm"), _statistic),
    **dict.fromkeys(("softmax", "normalize"), _softmax),
    **dict.fromkeys(("roll", "flip"), _move),
    **dict.fromkeys(("linear", "conv1d"), _linear),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "concat": _concat,
    "stack": _stack,
    "select": _select,
    "slice": _slice,
    "index": _index,
    "matmul": _matmul,
    "attention": _unknown,
}
