"""How layers compute the region of a change alone, from the regions of their inputs and the clean maps around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from explorer.analysis.incremental.patches import Canvases, MapPatch, Pads, cut_out
from explorer.analysis.incremental.reach import MERGED, WINDOWED
from explorer.analysis.incremental.spans import Stretch
from explorer.graph.layers import Layer
from explorer.run.execute import OpCall


@dataclass(frozen=True, eq=False)
class Wanted:
    """Where a layer's output is wanted for a batch: its rows and columns, in which dimensions, and the clean maps."""

    rows: Stretch
    columns: Stretch
    dims: tuple[int, int]
    canvases: Canvases


def compute(call: OpCall, wanted: Wanted) -> Any:
    """The output of a layer where it is wanted, a tensor or a tuple of tensors in the place of whole ones."""
    return _RULES.get(call.layer.kind, _alike)(call, wanted)


def averaged_whole(call: OpCall) -> Tensor | None:
    """The mean of each whole map, from that of the clean one and what the region adds; None for any other layer."""
    patches = [leaf for leaf in pytree.tree_leaves((call.args, call.kwargs)) if isinstance(leaf, MapPatch)]
    if len(patches) != 1 or patches[0].is_whole or not _is_mean_of_maps(call.layer, patches[0]):
        return None
    patch = patches[0]
    clean = call.perform(*_mapped(call, lambda _: patch.clean))
    added = patch.change() / prod(patch.clean.shape[dim] for dim in patch.dims)
    return clean + added.reshape(len(added), *clean.shape[1:])


def _is_mean_of_maps(layer: Layer, patch: MapPatch) -> bool:
    if layer.kind == "adaptive_avg_pool":
        return patch.dims == (2, 3) and layer.output_shape[2:] == (1, 1)
    return layer.kind == "mean" and {dim % patch.dim() for dim in layer.numbers("dim")} == {*patch.dims}


def _alike(call: OpCall, _: Wanted) -> Any:
    """What works on every position by itself, and asks for no size."""
    return call.perform(*_mapped(call, lambda patch: patch.values))


def _as_it_is(call: OpCall, _: Wanted) -> Tensor:
    """An adaptive pool of a map that has its size already: asked for a piece, it would make a whole map of it."""
    return _operand(call).values.clone()  # what writes into it in place leaves the input alone


def _mapped(call: OpCall, change: Callable[[MapPatch], Any]) -> Any:
    return pytree.tree_map_only(MapPatch, change, (call.args, call.kwargs))


def _operand(call: OpCall) -> MapPatch:
    return next(leaf for leaf in pytree.tree_leaves((call.args, call.kwargs)) if isinstance(leaf, MapPatch))


# -- Windows ----------------------------------------------------------------------------------------------------------


def _windowed(call: OpCall, wanted: Wanted) -> Tensor:
    """A window over the pieces that its outputs read, with the map's padding already in them."""
    window, patch = call.layer.window, _operand(call)
    assert window is not None
    rows, columns = wanted.rows.read_by(window, 0), wanted.columns.read_by(window, 1)
    pieces = wanted.canvases.cut(patch, rows, columns, *margin(call.layer))
    return _WINDOWED[call.layer.kind](call, pieces, wanted)


def margin(layer: Layer) -> tuple[Pads, float]:
    """How far the windows of all outputs of a layer reach beyond the map, and the value that lies there."""
    window, read, made = layer.window, layer.input_shapes[0], layer.output_shape
    assert window is not None
    sides: list[int] = []
    for axis in (1, 0):
        first = window.padding[axis]
        reach = (window.kernel[axis] - 1) * window.dilation[axis]
        last = (made[2 + axis] - 1) * window.stride[axis] - first + reach
        sides += [first, max(0, last + 1 - read[2 + axis])]
    return (sides[0], sides[1], sides[2], sides[3]), -torch.inf if layer.kind == "max_pool" else 0.0


def _convolved(call: OpCall, pieces: Tensor, _: Wanted) -> Tensor:
    a, window = call.arguments, call.layer.window
    assert window is not None
    bias = a.get("bias") if call.module is None else getattr(call.module, "bias", None)
    return F.conv2d(pieces, a["weight"], bias, window.stride, 0, window.dilation, a.get("groups") or 1)


def _highest(call: OpCall, pieces: Tensor, _: Wanted) -> Tensor:
    window = call.layer.window
    assert window is not None
    return F.max_pool2d(pieces, window.kernel, window.stride, 0, window.dilation)


def _averaged(call: OpCall, pieces: Tensor, wanted: Wanted) -> Tensor:
    """Sums over what lies in the map, over the number that the network itself divides by at each position."""
    window = call.layer.window
    assert window is not None
    sums = F.avg_pool2d(pieces, window.kernel, window.stride, divisor_override=1)
    ones = pieces.new_ones((1, 1, *call.layer.input_shapes[0][2:]))
    means = call.perform(*_mapped(call, lambda _: ones))
    a = {name: bool(call.layer.attributes.get(name)) for name in ("ceil_mode",)}
    counts = F.avg_pool2d(ones, window.kernel, window.stride, window.padding, divisor_override=1, **a)
    return sums / cut_out(counts / means, wanted.rows, wanted.columns, wanted.dims)


_WINDOWED = {"conv": _convolved, "max_pool": _highest, "avg_pool": _averaged}


# -- Several inputs, and what asks for sizes --------------------------------------------------------------------------


def _merged(call: OpCall, wanted: Wanted) -> Any:
    """All inputs at the rows and columns of the output; weights that have rows and columns, too."""

    def at_place(leaf: Any) -> Any:
        if isinstance(leaf, MapPatch):
            return wanted.canvases.cut(leaf, wanted.rows, wanted.columns)
        return _piece(leaf, call.layer.output_shape, wanted) if isinstance(leaf, Tensor) else leaf

    return call.perform(*pytree.tree_map(at_place, (call.args, call.kwargs)))


def _piece(weights: Tensor, shape: tuple[int, ...], wanted: Wanted) -> Tensor:
    """What of weights goes with what is wanted; those that are spread over rows and columns stay as they are."""
    lacking = len(shape) - weights.dim()
    spread = [dim < lacking or weights.shape[dim - lacking] == 1 for dim in wanted.dims]
    if all(spread):
        return weights
    full = weights.expand(1, *shape[1:])
    return cut_out(full, wanted.rows, wanted.columns, wanted.dims)


def _reshaped(call: OpCall, wanted: Wanted) -> Tensor:
    patch, shape = _operand(call), list(call.layer.output_shape)
    shape[0], shape[-2], shape[-1] = len(patch.values), wanted.rows.length, wanted.columns.length
    return patch.values.reshape(shape)


def _padded(call: OpCall, wanted: Wanted) -> Tensor:
    """Rows and columns of padding are cut from a padded clean map; that of other dimensions is added to the pieces."""
    patch, a = _operand(call), call.arguments
    pad, fill = tuple(a["pad"]), float(getattr(call.module, "value", None) or a.get("value") or 0)
    left, right, top, bottom = (*pad, 0, 0)[:4]
    rows = replace(wanted.rows, first=wanted.rows.first - top)
    columns = replace(wanted.columns, first=wanted.columns.first - left)
    sides = (max(left, 0), max(right, 0), max(top, 0), max(bottom, 0))
    pieces = wanted.canvases.cut(patch, rows, columns, sides, fill)
    return F.pad(pieces, (0, 0, 0, 0, *pad[4:]), value=fill) if len(pad) > 4 else pieces


_RULES: dict[str, Callable[[OpCall, Wanted], Any]] = {
    **dict.fromkeys(WINDOWED, _windowed),
    **dict.fromkeys((*MERGED, "concat", "stack"), _merged),
    **dict.fromkeys(("reshape", "flatten"), _reshaped),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool"), _as_it_is),
    "pad": _padded,
}
