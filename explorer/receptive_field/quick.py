"""The quick rules: layers on plain maps and tokens, whose rows and columns are followed apart from channels.

A rule answers None where the quick form cannot say what comes out: then the general one is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from explorer.graph import ops
from explorer.graph.layers import Layer
from explorer.receptive_field import dims, orders, taps
from explorer.receptive_field.branches import States, cut, joined, kept_along, merged, sees_the_same, side_by_side
from explorer.receptive_field.field_state import FieldState, axes_of, moved, pooled, seen_by_all, summed_over
from explorer.receptive_field.intervals import blind, spread, union
from explorer.receptive_field.taps import Taps
from explorer.types import Shape, is_sequence

QuickRule = Callable[[Layer, States], FieldState | None]


def quick(layer: Layer, inputs: States) -> FieldState | None:
    """The state of a layer's output; None where the quick form does not do."""
    rule = QUICK.get(layer.kind)
    if rule is None or (len(inputs) != 1 and layer.kind not in _OF_SEVERAL) or layer.operands:
        return None
    if any(state.parts for state in inputs):
        return _in_parts(rule, layer, inputs)
    return rule(layer, inputs)


def everything(layer: Layer, inputs: States) -> FieldState:
    """What any position of any input sees, for a layer of which no more is known; laid out as an input of its size."""
    like = next((s for s in inputs if s.layout == dims.MAP and s.shape[2:] == layer.output_shape[2:]), None)
    size = (1, 1) if like is None or not layer.is_map else like.map_size
    whole = [pooled(state) for state in inputs]
    strict = union([s.strict[0] for s in whole], 1), union([s.strict[1] for s in whole], 1)
    strict = spread(strict[0], size[0]), spread(strict[1], size[1])
    plain = tuple(dims.C if at else dims.N for at in range(len(layer.output_shape)))
    layout = dims.MAP if like is not None and layer.is_map else plain
    return FieldState(layer.output_shape, layout, size, strict, None, is_exact=False)


# -- Channels that see differently -------------------------------------------------------------------------------------


def _in_parts(rule: QuickRule, layer: Layer, inputs: States) -> FieldState | None:
    """A layer on maps whose channels see differently: alike for all, each by itself, or their sum."""
    if layer.kind in ALIKE and len(inputs) == 1 and not layer.attributes.get("training") or layer.kind == "slice":
        return rule(layer, inputs)
    plain = [replace(state, parts=()) for state in inputs]
    if layer.kind == "concat":
        return _concat(layer, inputs)
    if len(inputs) != 1 or inputs[0].layout != dims.MAP or inputs[0].joint != 1:
        return None
    if layer.kind in _BY_CHANNEL:
        return _each(rule, layer, inputs[0], plain[0])
    if layer.kind == "conv":
        groups = layer.attributes.get("groups", 1)
        if groups == 1:
            return rule(layer, plain)
        return _each(rule, layer, inputs[0], plain[0]) if groups == inputs[0].shape[1] else None
    return None


def _each(rule: QuickRule, layer: Layer, state: FieldState, plain: FieldState) -> FieldState | None:
    """A layer that works on each channel, or makes as many of each."""
    found, times = rule(layer, [plain]), layer.output_shape[1] // state.shape[1]
    parts = [rule(layer, [part]) for part in state.parts]
    known = [part for part in parts if part is not None]
    if found is None or len(known) < len(parts):
        return None
    batch, _, *size = layer.output_shape
    if all(sees_the_same(part, known[0]) for part in known):
        return found
    return replace(found, parts=tuple(replace(part, shape=(batch, part.shape[1] * times, *size)) for part in known))


# -- Windows -----------------------------------------------------------------------------------------------------------


def _resample(layer: Layer, inputs: States) -> FieldState | None:
    """Layers with a window, and those that move or resize maps."""
    state = inputs[0]
    if state.layout[-2:] != (dims.H, dims.W) or layer.kind == "pad" and len(layer.numbers("pad")) > 4:
        return None
    sizes_in, sizes_out = state.shape[-2:], layer.output_shape[-2:]
    found = [taps.of_layer(layer, a, sizes_in[a], sizes_out[a]) or taps.ONE_TO_ONE for a in (0, 1)]
    if layer.kind.startswith("adaptive") and max(sizes_in) > 1 and _swallows(found, sizes_in):
        return pooled(state)
    return moved(state, found, (sizes_out[0], sizes_out[1]))


def _swallows(found: list[Taps], sizes: Shape) -> bool:
    return all(step == taps.everything(size) for step, size in zip(found, sizes, strict=True) if size > 1)


# -- Statistics and sums -----------------------------------------------------------------------------------------------


def _pass(_: Layer, inputs: States) -> FieldState:
    return inputs[0]


def _statistic(_: Layer, inputs: States) -> FieldState:
    """Norms whose statistics run over positions: strictly everything, locally one position."""
    state = inputs[0]
    return replace(state, strict=seen_by_all(state.strict, state.map_size))


def _batch_norm(layer: Layer, inputs: States) -> FieldState:
    return _statistic(layer, inputs) if layer.attributes.get("training") else inputs[0]


def _layer_norm(layer: Layer, inputs: States) -> FieldState:
    """Layer norm and RMS norm over the last dimensions: rows alone, or columns, or all."""
    return _over(inputs[0], range(-len(layer.numbers("normalized_shape")), 0))


def _softmax(layer: Layer, inputs: States) -> FieldState:
    """softmax and normalize."""
    return _over(inputs[0], layer.numbers("dim") or ((1,) if layer.kind == "normalize" else (-1,)))


def _over(state: FieldState, at: Sequence[int]) -> FieldState:
    along = axes_of(state.layout[i] for i in at)
    return replace(state, strict=seen_by_all(state.strict, state.map_size, along)) if along else state


def _linear(layer: Layer, inputs: States) -> FieldState:
    return _contracted(layer, inputs[0], -1)


def _contracted(layer: Layer, state: FieldState, dim: int) -> FieldState:
    """Weighted sums over one dimension, which the results of several (or of one) take the place of."""
    rank, at = len(state.layout), dim % len(state.layout)
    kept = [dims.C] if len(layer.output_shape) >= rank else []
    labels = (*state.layout[:at], *kept, *state.layout[at + 1 :])
    grown = (dims.C,) * (len(layer.output_shape) - rank)  # weights for a batch of products
    return replace(summed_over(state, (state.layout[at],)), layout=(*grown, *labels))


def _matmul(layer: Layer, inputs: States) -> FieldState | None:
    """Of an activation with weights: sums over one dimension. Of two activations the general rule tells."""
    dim = layer.attributes.get("contracted")
    return None if dim is None else _contracted(layer, inputs[0], dim)


def _reduce(layer: Layer, inputs: States) -> FieldState | None:
    """mean, sum, max …: over channels it changes no field, over positions it sees all of them."""
    if len(inputs) > 1:
        return merged(inputs)  # torch.max of two tensors
    state = inputs[0]
    if layer.op in ("topk", "kthvalue", "median", "mode"):
        return None
    gone = {i % len(state.layout) for i in layer.numbers("dim") or range(len(state.layout))}
    kept = len(layer.output_shape) == len(state.layout)
    labels = tuple(
        (dims.C if label == dims.T and i in gone else label)
        for i, label in enumerate(state.layout) if kept or i not in gone
    )  # fmt: skip
    if len(labels) != len(layer.output_shape):
        return None
    return replace(summed_over(state, [state.layout[i] for i in gone]), layout=labels)


# -- Shapes ------------------------------------------------------------------------------------------------------------


def _reshape(layer: Layer, inputs: States) -> FieldState | None:
    state = inputs[0]
    layout = dims.regroup(state.shape, state.layout, layer.output_shape, state.map_size)
    return None if layout is None else replace(state, layout=layout)


def _permute(layer: Layer, inputs: States) -> FieldState:
    state = inputs[0]
    return replace(state, layout=dims.reorder(state.layout, orders.order(layer, len(state.layout))))


def _broadcast(layer: Layer, inputs: States) -> FieldState | None:
    """expand and repeat where they add nothing to rows, columns and tokens."""
    state, shape = inputs[0], layer.output_shape
    if len(shape) < len(state.layout) or layer.op == "repeat_interleave":
        return None
    grown = (dims.C,) * (len(shape) - len(state.layout))
    sizes = zip(state.layout, state.shape, shape[len(grown) :], strict=True)
    same = all(before == after or label not in dims.SPATIAL for label, before, after in sizes)
    return replace(state, layout=(*grown, *state.layout)) if same else None


# -- Branches ----------------------------------------------------------------------------------------------------------


def _merge(_: Layer, inputs: States) -> FieldState | None:
    return merged(inputs)


def _concat(layer: Layer, inputs: States) -> FieldState | None:
    """Along channels a merge; along rows or columns each position keeps its own field."""
    lead, at = inputs[0], orders.place(layer, len(layer.output_shape))
    if any(state.layout != lead.layout for state in inputs) or layer.joined:
        return None
    label = lead.layout[at]
    if label in (dims.N, dims.C):
        return joined([part for state in inputs for part in state.parts or (state,)], at)
    return side_by_side(inputs, 0 if label == dims.H else 1) if label != dims.T else None


# -- Indices -----------------------------------------------------------------------------------------------------------


def _select(layer: Layer, inputs: States) -> FieldState | None:
    """Square brackets with slices, numbers over channels, and None."""
    state, index = inputs[0], layer.attributes.get("index")
    if index is None or state.parts:
        return None
    labels: list[str] = []
    taken = 0
    for item in orders.full_index(index, len(state.layout)):
        if item is None:
            labels.append(dims.C)
            continue
        label, length = state.layout[taken], state.shape[taken]
        if isinstance(item, slice):
            labels.append(label)
            if label in dims.SPATIAL and (kept := range(length)[item]) != range(length):
                if label == dims.T:
                    return None
                state = kept_along(state, 0 if label == dims.H else 1, kept)
        elif label in dims.SPATIAL or is_sequence(item):
            return None
        taken += 1
    return replace(state, layout=tuple(labels))


def _slice(layer: Layer, inputs: States) -> FieldState | None:
    """narrow and aten.slice."""
    state, at = inputs[0], orders.place(layer, len(layer.output_shape))
    return cut(state, at, orders.kept_by_slice(layer, state.shape[at], layer.output_shape[at]))


def _constant(layer: Layer, _: States) -> FieldState:
    """A tensor made to the shape of another: it sees no pixel."""
    rows, columns = layer.output_shape[-2:] if layer.is_map else (1, 1)
    layout = dims.MAP if layer.is_map else tuple(dims.C if at else dims.N for at in range(len(layer.output_shape)))
    blank = blind(rows), blind(columns)
    return FieldState(layer.output_shape, layout, (rows, columns), blank, blank)


# Kinds that read several tensors alike; those that leave every field as it was; those that work channel by channel.
_OF_SEVERAL = frozenset((*ops.ACTIVATIONS, *ops.POINTWISE, *ops.ARITHMETIC, *ops.REDUCTIONS, "concat", "constant"))
ALIKE = frozenset((*ops.ACTIVATIONS, *ops.POINTWISE, *ops.ARITHMETIC, "batch_norm"))
_BY_CHANNEL = frozenset(
    ("max_pool", "avg_pool", "lp_pool", "adaptive_avg_pool", "adaptive_max_pool", "interpolate", "pad", "batch_norm")
)
QUICK: dict[str, QuickRule] = {
    **dict.fromkeys((*ops.ACTIVATIONS, *ops.POINTWISE, *ops.ARITHMETIC, "where"), _merge),
    **dict.fromkeys(ops.REDUCTIONS, _reduce),
    **dict.fromkeys(("conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool", "own_window"), _resample),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool", "interpolate", "pixel_shuffle", "pad"), _resample),
    **dict.fromkeys(("flatten", "reshape", "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "movedim"), _permute),
    **dict.fromkeys(("expand", "repeat"), _broadcast),
    **dict.fromkeys(("group_norm", "instance_norm"), _statistic),
    **dict.fromkeys(("layer_norm", "rms_norm"), _layer_norm),
    **dict.fromkeys(("softmax", "normalize"), _softmax),
    **dict.fromkeys(("local_response_norm", "channel_shuffle"), _pass),
    "linear": _linear,
    "matmul": _matmul,
    "batch_norm": _batch_norm,
    "concat": _concat,
    "select": _select,
    "slice": _slice,
    "constant": _constant,
}  # fmt: skip
