"""Receptive field of every layer, exact over the DAG: the box of input pixels that can change one unit.

Each axis is kept as the interval of input pixels for every output position: the union over all paths. Two fields are
followed: the strict one, and the local one that leaves out what reads the whole map to make a gate or a statistic
(squeeze-excitation, attention, group norm). See Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional
Neural Networks" (Distill 2019) for the closed forms that these intervals generalise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm

from explorer import layout as dims
from explorer import ops, reads
from explorer.graph import Layer, LayerGraph, Shape
from explorer.layout import Layout
from explorer.reads import Reads

Interval = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Axis:
    """Output `q·period + r` sees the pixels `intervals[r]` (ends included) moved by q·advance; None sees nothing."""

    period: int
    advance: int
    intervals: tuple[Interval | None, ...]
    is_global: bool = False

    def interval(self, position: int) -> Interval | None:
        """First and last pixel that the position sees, padding not clipped."""
        q, r = divmod(position, self.period)
        found = self.intervals[r]
        return found and (found[0] + q * self.advance, found[1] + q * self.advance)

    @property
    def stride(self) -> Fraction:
        """Input pixels from one position to the next."""
        return Fraction(self.advance, self.period)

    @property
    def size(self) -> int:
        """Pixels that one position sees: the most over all phases, padding not clipped."""
        return max((last - first + 1 for first, last in filter(None, self.intervals)), default=0)

    @property
    def padding(self) -> Fraction:
        """How far the field of position 0 begins before the image (the phase that reaches out most)."""
        starts = [seen[0] - r * self.stride for r, seen in enumerate(self.intervals) if seen]
        return -min(starts, default=Fraction(0))


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The field of one layer per axis (height, width), in input pixels.

    size: the most pixels that one unit sees, padding included; stride: pixels between neighbours; padding: pixels
    that the first unit sees before the image. is_global: every unit sees the whole image.
    """

    axes: tuple[Axis, Axis]
    image_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        rows, columns = (
            length if axis.is_global else axis.size for axis, length in zip(self.axes, self.image_size, strict=True)
        )
        return rows, columns

    @property
    def stride(self) -> tuple[Fraction, Fraction]:
        return self.axes[0].stride, self.axes[1].stride

    @property
    def padding(self) -> tuple[Fraction, Fraction]:
        rows, columns = (Fraction(0) if axis.is_global else axis.padding for axis in self.axes)
        return rows, columns

    @property
    def is_global(self) -> bool:
        return self.axes[0].is_global and self.axes[1].is_global

    def box(self, row: int, column: int) -> Box:
        """(top, left, bottom, right) of what the unit sees, clipped to the image; bottom and right are exclusive."""
        spans = []
        for axis, position, length in zip(self.axes, (row, column), self.image_size, strict=True):
            first, last = axis.interval(position) or (0, -1)
            spans.append((min(max(first, 0), length), max(min(last + 1, length), 0)))
        (top, bottom), (left, right) = spans
        return top, left, max(bottom, top), max(right, left)


@dataclass(frozen=True, slots=True)
class LayerFields:
    """Strict and local field of a layer's output; `has_map` while rows and columns can still be told apart."""

    strict: ReceptiveField
    local: ReceptiveField
    has_map: bool


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of one tensor: its layout, the map its positions belong to, and both fields."""

    shape: Shape
    layout: Layout | None
    map_size: tuple[int, int]
    strict: tuple[Axis, Axis]
    local: tuple[Axis, Axis] | None


def receptive_fields(graph: LayerGraph) -> dict[str, LayerFields]:
    """The fields of every layer, by layer id. A layer of unknown kind is taken to read everything."""
    states: dict[str, _State] = {}
    image = graph.layers[0].output_shape[-2:]
    image_size = (image[0], image[1])
    found = {}
    for layer in graph:
        state = _state(layer, [states[name] for name in layer.inputs])
        states[layer.id] = state
        found[layer.id] = LayerFields(
            ReceptiveField(state.strict, image_size),
            ReceptiveField(state.local or state.strict, image_size),
            has_map=state.local is not None and state.layout is not None and {"H", "W"} <= set(state.layout),
        )
    return found


def head_layer(graph: LayerGraph, fields: dict[str, LayerFields]) -> str:
    """The last feature map before global pooling or flattening: the one whose field speaks for the network."""
    return [layer.id for layer in graph if fields[layer.id].has_map][-1]


# -- one layer --------------------------------------------------------------------------------------------------------


def _state(layer: Layer, inputs: list[_State]) -> _State:
    if layer.kind == "input":
        size = layer.output_shape[-2:]
        one = Axis(1, 1, ((0, 0),))
        return _State(layer.output_shape, dims.MAP, (size[0], size[1]), (one, one), (one, one))
    rule = _RULES.get(layer.kind, _unknown)
    return replace(rule(layer, inputs), shape=layer.output_shape)


def _pass(layer: Layer, inputs: list[_State]) -> _State:
    return inputs[0]


def _resample(layer: Layer, inputs: list[_State]) -> _State:
    """Layers with a window, and those that move or resize maps."""
    (state,) = inputs[:1]
    if state.layout is None or state.layout[-2:] != ("H", "W"):
        return _whole(state, layer.output_shape)
    sizes_in, sizes_out = state.shape[-2:], layer.output_shape[-2:]
    found = [reads.of_layer(layer, a, sizes_in[a], sizes_out[a]) or reads.POINTWISE for a in (0, 1)]
    swallowed = all(r == reads.everything(n) for r, n in zip(found, sizes_in, strict=True) if n > 1)
    if swallowed and max(sizes_in) > 1 and layer.kind.startswith("adaptive"):
        return replace(_whole(state, layer.output_shape), layout=state.layout, map_size=(1, 1))
    return replace(
        state,
        map_size=(sizes_out[0], sizes_out[1]),
        strict=_through(state.strict, found),
        local=state.local and _through(state.local, found),
    )


def _through(axes: tuple[Axis, Axis], found: list[Reads]) -> tuple[Axis, Axis]:
    return compose(axes[0], found[0]), compose(axes[1], found[1])


def _statistic(layer: Layer, inputs: list[_State]) -> _State:
    """Norms whose statistics run over positions: strictly everything, locally one position."""
    (state,) = inputs[:1]
    return replace(state, strict=_all(state.strict, state.map_size))


def _batch_norm(layer: Layer, inputs: list[_State]) -> _State:
    return _statistic(layer, inputs) if layer.attributes.get("training") else inputs[0]


def _layer_norm(layer: Layer, inputs: list[_State]) -> _State:
    count = len(layer.attributes["normalized_shape"])
    return _over(inputs[0], range(-count, 0), _statistic(layer, inputs))


def _softmax(layer: Layer, inputs: list[_State]) -> _State:
    dim = layer.attributes.get("dim")
    return _over(inputs[0], [1 if dim is None else int(dim)], _whole(inputs[0], layer.output_shape))


def _linear(layer: Layer, inputs: list[_State]) -> _State:
    state = _over(inputs[0], [-1], _whole(inputs[0], layer.output_shape))
    return replace(state, layout=state.layout and (*state.layout[:-1], dims.C))


def _over(state: _State, at: Iterable[int], otherwise: _State) -> _State:
    """The state unchanged where none of the dimensions is spatial, else `otherwise`."""
    if state.layout is None:
        return state
    return otherwise if any(state.layout[i] in dims.SPATIAL for i in at) else state


def _reduce(layer: Layer, inputs: list[_State]) -> _State:
    """mean, sum, max …: over channels it changes no field, over positions it sees all of them."""
    (state,) = inputs[:1]
    if state.layout is None:
        return state
    dim = layer.attributes.get("dim")
    at = range(len(state.layout)) if dim is None else (dim if isinstance(dim, tuple) else (dim,))
    gone = {i % len(state.layout) for i in at}
    kept = len(layer.output_shape) == len(state.layout)
    labels = tuple(label for i, label in enumerate(state.layout) if kept or i not in gone)
    seen = _over(state, sorted(gone), _whole(state, layer.output_shape))
    return replace(seen, layout=labels if len(labels) == len(layer.output_shape) else None)


def _reshape(layer: Layer, inputs: list[_State]) -> _State:
    (state,) = inputs[:1]
    if state.layout is None:
        return state
    return replace(state, layout=dims.regroup(state.shape, state.layout, layer.output_shape, state.map_size))


def _permute(layer: Layer, inputs: list[_State]) -> _State:
    (state,) = inputs[:1]
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


def _broadcast(layer: Layer, inputs: list[_State]) -> _State:
    """expand and repeat: new leading dimensions carry no position."""
    (state,) = inputs[:1]
    if state.layout is None:
        return state
    grown = (dims.C,) * (len(layer.output_shape) - len(state.layout)) + state.layout
    same = all(
        before == after or label not in dims.SPATIAL
        for label, before, after in zip(state.layout, state.shape, layer.output_shape[-len(state.layout) :], strict=True)
    )
    return replace(state, layout=grown) if same else _whole(state, layer.output_shape)


def _merge(layer: Layer, inputs: list[_State]) -> _State:
    """add, mul, channel concat …: the union of the branches; a branch with no position of its own is a gate."""
    local = [state for state in inputs if state.local is not None] or inputs
    lead = max(local, key=lambda state: (state.map_size[0] * state.map_size[1], len(state.shape)))
    strict = [_stretched(state.strict, state.map_size, lead.map_size) for state in inputs]
    seen = [_stretched(s.local, s.map_size, lead.map_size) for s in inputs if s.local is not None]
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


def _concat(layer: Layer, inputs: list[_State]) -> _State:
    """Along channels a merge; along rows or columns each position keeps its own field."""
    lead = inputs[0]
    dim = int(layer.attributes.get("dim", 0))
    label = lead.layout[dim] if lead.layout else dims.C
    if label not in ("H", "W") or len(inputs) != len(layer.inputs):
        return _merge(layer, inputs) if label in (dims.N, dims.C, dims.T) else _whole(lead, layer.output_shape)
    at = 0 if label == "H" else 1
    sizes = [state.map_size[at] for state in inputs]

    def joined(axes: list[tuple[Axis, Axis]]) -> tuple[Axis, Axis]:
        seen = [axis[at].interval(i) for axis, n in zip(axes, sizes, strict=True) for i in range(n)]
        along = Axis(len(seen), axes[0][at].advance * len(seen) // axes[0][at].period, tuple(seen))
        across = _unions(axes, lead.map_size)[1 - at]
        return (along, across) if at == 0 else (across, along)

    size = (sum(sizes), lead.map_size[1]) if at == 0 else (lead.map_size[0], sum(sizes))
    local = [state.local or state.strict for state in inputs]
    return replace(lead, map_size=size, strict=joined([s.strict for s in inputs]), local=joined(local))


def _stack(layer: Layer, inputs: list[_State]) -> _State:
    state = _merge(layer, inputs)
    if state.layout is None:
        return state
    labels = list(state.layout)
    labels.insert(int(layer.attributes.get("dim", 0)) % (len(labels) + 1), dims.C)
    return replace(state, layout=tuple(labels))


def _chunk(layer: Layer, inputs: list[_State]) -> _State:
    """chunk, split, unbind: over channels no field changes."""
    (state,) = inputs[:1]
    if state.layout is None:
        return state
    dim = int(layer.attributes.get("dim", 0)) % len(state.layout)
    if state.layout[dim] in dims.SPATIAL:
        return _whole(state, layer.output_shape)
    if len(layer.output_shape) < len(state.layout):
        return replace(state, layout=state.layout[:dim] + state.layout[dim + 1 :])
    return state


def _select(layer: Layer, inputs: list[_State]) -> _State:
    """Indexing: of a tuple of tensors, or of a tensor by slices and integers."""
    (state,) = inputs[:1]
    index = layer.attributes.get("index")
    if state.layout is None or len(layer.inputs) != 1:
        return _whole(state, layer.output_shape) if state.layout else state
    if isinstance(index, int) and len(layer.output_shape) == len(state.layout):
        return state  # one tensor of a tuple
    return _indexed(layer, state, index if isinstance(index, tuple) else (index,))


def _indexed(layer: Layer, state: _State, index: tuple[object, ...]) -> _State:
    assert state.layout is not None
    if index.count(...) == 1:
        at = index.index(...)
        missing = len(state.layout) - sum(i is not None for i in index) + 1
        index = (*index[:at], *([slice(None)] * missing), *index[at + 1 :])
    labels: list[str] = []
    taken = 0
    for item in index:
        if item is None:
            labels.append(dims.C)
            continue
        label, length = state.layout[taken], state.shape[taken]
        taken += 1
        if isinstance(item, slice):
            labels.append(label)
            state = _sliced(state, label, range(length)[item])
        elif label in dims.SPATIAL or not isinstance(item, int):
            return _whole(state, layer.output_shape)
    return replace(state, layout=(*labels, *state.layout[taken:]))


def _sliced(state: _State, label: str, kept: range) -> _State:
    """Rows or columns kept by a slice."""
    if label not in ("H", "W"):
        return state
    at = 0 if label == "H" else 1
    step = [reads.POINTWISE, reads.POINTWISE]
    step[at] = Reads(1, kept.step, ((kept.start,),))
    size = (len(kept), state.map_size[1]) if at == 0 else (state.map_size[0], len(kept))
    return replace(
        state, map_size=size, strict=_through(state.strict, step), local=state.local and _through(state.local, step)
    )


def _slice(layer: Layer, inputs: list[_State]) -> _State:
    """narrow and aten.slice: a slice along one dimension."""
    (state,) = inputs[:1]
    if state.layout is None:
        return state
    a = layer.attributes
    dim = int(a.get("dim", 0)) % len(state.layout)
    length = state.shape[dim]
    start = range(length)[slice(a.get("start", 0), None)].start
    step = int(a.get("step") or 1)
    return _sliced(state, state.layout[dim], range(start, start + layer.output_shape[dim] * step, step))


def _index(layer: Layer, inputs: list[_State]) -> _State:
    """Tensor.select: one position along a dimension."""
    (state,) = inputs[:1]
    if state.layout is None:
        return state
    return _indexed(layer, state, (slice(None),) * (int(layer.attributes["dim"]) % len(state.layout)) + (0,))


def _move(layer: Layer, inputs: list[_State]) -> _State:
    """roll and flip: every position reads one other."""
    (state,) = inputs[:1]
    moved = layer.attributes.get("dims") or ()
    moved = moved if isinstance(moved, tuple) else (moved,)
    return _over(state, moved, _whole(state, layer.output_shape)) if moved else _whole(state, layer.output_shape)


def _matmul(layer: Layer, inputs: list[_State]) -> _State:
    """Of an activation with weights: a linear layer. Of two activations: every position meets every other."""
    return _linear(layer, inputs) if len(inputs) == 1 else _whole(inputs[0], layer.output_shape)


def _unknown(layer: Layer, inputs: list[_State]) -> _State:
    return _whole(inputs[0], layer.output_shape)


def _whole(state: _State, shape: Shape) -> _State:
    """A tensor each of whose values may depend on every position."""
    return replace(state, layout=None, strict=_all(state.strict, state.map_size), local=None, map_size=(1, 1))


def _all(axes: tuple[Axis, Axis], size: tuple[int, int]) -> tuple[Axis, Axis]:
    return _hull(axes[0], size[0]), _hull(axes[1], size[1])


_Rule = Callable[[Layer, list[_State]], _State]
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


# -- arithmetic of axes -------------------------------------------------------------------------------------------------


def compose(axis: Axis, step: Reads) -> Axis:
    """The axis after a layer that reads `step`: each position sees the hull of what its sources see."""
    if axis.advance == 0 and axis.period == 1:
        return axis
    repeats = 1 if step.advance == 0 else axis.period // gcd(step.advance, axis.period)
    period = repeats * step.period
    intervals = []
    for r in range(period):
        q, phase = divmod(r, step.period)
        intervals.append(_span(axis.interval(q * step.advance + offset) for offset in step.offsets[phase]))
    advance = repeats * step.advance // axis.period * axis.advance
    return Axis(period, advance, tuple(intervals), axis.is_global)


def union(a: Axis, b: Axis, size: int) -> Axis:
    """What a position sees through two branches; branches that advance differently are listed for all `size`."""
    is_global = a.is_global or b.is_global
    aligned = a.advance * b.period == b.advance * a.period
    period = lcm(a.period, b.period) if aligned else size
    pairs = (filter(None, (a.interval(i), b.interval(i))) for i in range(period))
    advance = a.advance * (period // a.period) if aligned else max(round(x.stride * size) for x in (a, b))
    found = Axis(period, advance, tuple(_span(pair) for pair in pairs), is_global)
    return _hull(found, size) if is_global else found


def _span(intervals: Iterable[Interval | None]) -> Interval | None:
    seen = [interval for interval in intervals if interval]
    return (min(s[0] for s in seen), max(s[1] for s in seen)) if seen else None


def _hull(axis: Axis, size: int) -> Axis:
    """What all positions see together, for each of them."""
    last = range(max(0, size - axis.period), size)
    ends = (*range(min(axis.period, size)), *last)
    return Axis(1, 0, (_span(axis.interval(i) for i in ends),), is_global=True)
