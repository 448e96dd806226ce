"""Branches of plain maps: merged, joined along channels or side by side, and cut again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from explorer.receptive_field import dims, intervals, taps
from explorer.receptive_field.field_state import FieldState, moved
from explorer.receptive_field.intervals import Axis, spread, union
from explorer.receptive_field.taps import Taps

States = Sequence[FieldState]


def merged(inputs: States) -> FieldState | None:
    """add, mul, channel concat …: the union of the branches; a branch with no position of its own is a gate."""
    if len(inputs) == 1:
        return inputs[0]
    located = [state for state in inputs if state.local is not None] or inputs
    lead = max(located, key=lambda state: (state.map_size[0] * state.map_size[1], len(state.shape)))
    if not all(_fits(state, lead) for state in inputs):
        return None
    branches = [_stretched(state.strict, state.map_size, lead.map_size) for state in inputs]
    strict = _unions(branches, lead.map_size)
    if _hides_padding(branches, strict):
        return None
    exact = all(state.is_exact for state in inputs)
    if all(state.local is state.strict for state in inputs):
        return replace(lead, strict=strict, local=strict, is_exact=exact)
    seen = [_stretched(s.local, s.map_size, lead.map_size) for s in located if s.local is not None]
    local = _unions(seen, lead.map_size) if seen else None
    if local is not None and _hides_padding(seen, local):
        return None
    return replace(lead, strict=strict, local=local, is_exact=exact)


def _hides_padding(branches: list[tuple[Axis, Axis]], together: tuple[Axis, Axis]) -> bool:
    """Whether a branch sees only padding in some rows (columns), and elsewhere pixels that no other branch sees there:
    rows and columns are kept apart, so that these would count in vain."""
    for at, branch in enumerate(branches):
        for along in (0, 1):
            if _is_partly_blind(branch[along]):
                others = [other[1 - along] for i, other in enumerate(branches) if i != at]
                if not others or not _covers(others, together[1 - along]):
                    return True
    return False


def _covers(axes: list[Axis], whole: Axis) -> bool:
    first = np.minimum.reduce([axis.seen[0] for axis in axes])
    last = np.maximum.reduce([axis.seen[1] for axis in axes])
    return bool((first == whole.seen[0]).all() and (last == whole.seen[1]).all())


def _is_partly_blind(axis: Axis) -> bool:
    seen = axis.seen
    ends = seen[0, 0] > seen[1, 0], seen[0, -1] > seen[1, -1]
    return any(ends) and int(seen[1].max()) >= 0 or None in axis.intervals and len(axis.intervals) > 1


def _fits(state: FieldState, lead: FieldState) -> bool:
    """Whether a branch has rows and columns where another has them, as many of them or one."""
    if state.layout == lead.layout and state.map_size == lead.map_size:
        return True
    sizes = zip(state.map_size, lead.map_size, strict=True)
    labels = zip(reversed(state.layout), reversed(state.shape), reversed(lead.layout), strict=False)
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


def cut(state: FieldState, at: int, kept: range) -> FieldState | None:
    """Some positions of a dimension; None where they are tokens."""
    label = state.layout[at]
    shape = (*state.shape[:at], len(kept), *state.shape[at + 1 :])
    if label == dims.T and len(kept) != state.shape[at]:
        return None
    if label in (dims.H, dims.W):
        parts = [cut(part, at, kept) for part in state.parts]
        state = replace(kept_along(state, 0 if label == dims.H else 1, kept), parts=tuple(filter(None, parts)))
    elif state.parts and len(kept) < state.shape[at]:
        if at != state.joint:
            return None
        return _parts_of(state, at, kept)
    return replace(state, shape=shape)


def _parts_of(state: FieldState, at: int, kept: range) -> FieldState | None:
    """The channels that a slice of joined maps keeps."""
    if kept.step != 1:
        return None
    found: list[FieldState] = []
    start = 0
    for part in state.parts:
        count = part.shape[at]
        inside = range(max(kept.start - start, 0), min(kept.stop - start, count))
        if len(inside):
            found.append(replace(part, shape=(*part.shape[:at], len(inside), *part.shape[at + 1 :])))
        start += count
    return joined(found, at)


def joined(parts: list[FieldState], at: int) -> FieldState | None:
    """Maps joined along their channels, which are told apart only if they see differently."""
    if len(parts) == 1:
        return parts[0]
    found = merged(parts)
    if found is None or all(sees_the_same(part, parts[0]) for part in parts):
        return found
    count = sum(part.shape[at] for part in parts)
    shape = (*parts[0].shape[:at], count, *parts[0].shape[at + 1 :])
    return replace(found, shape=shape, parts=tuple(parts))


def sees_the_same(a: FieldState, b: FieldState) -> bool:
    pairs = zip((*a.strict, *(a.local or ())), (*b.strict, *(b.local or ())), strict=False)
    return (a.local is None) == (b.local is None) and all(x is y or _equal(x, y) for x, y in pairs)


def _equal(a: Axis, b: Axis) -> bool:
    return a == b and a.seen.shape == b.seen.shape and bool((a.seen == b.seen).all())


def kept_along(state: FieldState, at: int, kept: range) -> FieldState:
    """Rows (columns) that a slice keeps."""
    step = [taps.ONE_TO_ONE, taps.ONE_TO_ONE]
    step[at] = Taps(1, kept.step, ((kept.start,),))
    size = (len(kept), state.map_size[1]) if at == 0 else (state.map_size[0], len(kept))
    return moved(state, step, size)


def side_by_side(inputs: States, at: int) -> FieldState | None:
    lead = inputs[0]
    if any(state.parts for state in inputs):
        return None
    sizes = [state.map_size[at] for state in inputs]

    def beside(axes: list[tuple[Axis, Axis]]) -> tuple[Axis, Axis]:
        along = intervals.joined([pair[at] for pair in axes])
        across = union([pair[1 - at] for pair in axes], lead.map_size[1 - at])
        return (along, across) if at == 0 else (across, along)

    size = (sum(sizes), lead.map_size[1]) if at == 0 else (lead.map_size[0], sum(sizes))
    local = [state.local or state.strict for state in inputs]
    across = {id(state.strict[1 - at]) for state in inputs}
    found = replace(lead, map_size=size, strict=beside([s.strict for s in inputs]), local=beside(local))
    return found if len(across) == 1 else None
