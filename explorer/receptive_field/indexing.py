"""How indexing, slicing and splitting a tensor carry fields on."""

from __future__ import annotations

from dataclasses import replace

from explorer.graph.layers import Layer
from explorer.receptive_field import dims, taps
from explorer.receptive_field.field_state import FieldState, moved, whole
from explorer.receptive_field.taps import Taps
from explorer.types import is_sequence


def chunk(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """chunk, split, unbind: over channels no field changes."""
    state = inputs[0]
    if state.layout is None:
        return state
    dim = int(layer.attributes.get("dim", 0)) % len(state.layout)
    if state.layout[dim] in dims.SPATIAL:
        return whole(state)
    if len(layer.output_shape) < len(state.layout):
        return replace(state, layout=state.layout[:dim] + state.layout[dim + 1 :])
    return state


def select(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """Indexing: of a tuple of tensors, or of a tensor by slices and integers."""
    state = inputs[0]
    index = layer.attributes.get("index")
    if state.layout is None:
        return state
    if index is None or len(layer.inputs) != 1:
        return whole(state)  # by a tensor: of weights, or one that depends on the image
    if isinstance(index, int) and len(layer.output_shape) == len(state.layout):
        return state  # one tensor of a tuple
    return _indexed(state, tuple(index) if is_sequence(index) else (index,))


def _indexed(state: FieldState, index: tuple[object, ...]) -> FieldState:
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
            return whole(state)
    return replace(state, layout=(*labels, *layout[taken:]))


def _sliced(state: FieldState, label: str, kept: range) -> FieldState:
    """Rows or columns kept by a slice."""
    if label not in ("H", "W"):
        return state
    at = 0 if label == "H" else 1
    step = [taps.ONE_TO_ONE, taps.ONE_TO_ONE]
    step[at] = Taps(1, kept.step, ((kept.start,),))
    size = (len(kept), state.map_size[1]) if at == 0 else (state.map_size[0], len(kept))
    return moved(state, step, size)


def slice_(layer: Layer, inputs: list[FieldState]) -> FieldState:
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


def index_(layer: Layer, inputs: list[FieldState]) -> FieldState:
    """Tensor.select: one position along a dimension."""
    state = inputs[0]
    if state.layout is None:
        return state
    return _indexed(state, (slice(None),) * (int(layer.attributes["dim"]) % len(state.layout)) + (0,))
