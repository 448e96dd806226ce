"""Index maps of layers that move, cut, repeat and join elements, from what they are called with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.graph.layers import Layer
from explorer.receptive_field import index_map, orders
from explorer.receptive_field.index_map import IndexMap
from explorer.types import is_sequence


def permute(layer: Layer, found: IndexMap) -> IndexMap:
    """permute, transpose and movedim."""
    return index_map.permuted(found, orders.order(layer, len(found.dims)))


def reshape(layer: Layer, found: IndexMap) -> IndexMap:
    """All that keep the order of the elements."""
    return index_map.reshaped(found, layer.output_shape)


def expand(layer: Layer, found: IndexMap) -> IndexMap:
    """Tensor.expand."""
    return index_map.expanded(found, layer.output_shape)


def repeat(layer: Layer, found: IndexMap) -> IndexMap:
    """Tensor.repeat, and repeat_interleave along a dimension or of all elements in a row."""
    if layer.op != "repeat_interleave":
        return index_map.tiled(found, layer.numbers("dims"))
    dim = layer.attributes.get("dim")
    if dim is None:
        found, at = index_map.reshaped(found, (int(np.prod(found.shape)),)), 0
    else:
        at = int(dim) % len(found.dims)
    return index_map.interleaved(found, at, layer.output_shape[at] // found.shape[at])


def roll(layer: Layer, found: IndexMap) -> IndexMap:
    """torch.roll, of all elements in a row where no dimension is given."""
    shifts, dims = layer.numbers("shifts"), layer.numbers("dims")
    if not dims:
        flat = index_map.reshaped(found, (int(np.prod(found.shape)),))
        return index_map.reshaped(_rolled(flat, 0, shifts[0]), found.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        found = _rolled(found, dim % len(found.dims), shift)
    return found


def _rolled(found: IndexMap, at: int, shift: int) -> IndexMap:
    return index_map.taken(found, at, np.roll(np.arange(found.shape[at]), shift))


def flip(layer: Layer, found: IndexMap) -> IndexMap:
    """torch.flip."""
    for at in orders.places(layer, len(found.dims), "dims"):
        found = index_map.taken(found, at, np.arange(found.shape[at])[::-1])
    return found


def pieces(layer: Layer, found: IndexMap) -> list[IndexMap]:
    """What chunk and split cut a tensor into."""
    at = orders.place(layer, len(found.dims))
    ends = np.cumsum([shape[at] for shape in layer.outputs])
    starts = ends - [shape[at] for shape in layer.outputs]
    return [
        index_map.taken(found, at, np.arange(int(start), int(end))) for start, end in zip(starts, ends, strict=True)
    ]


def unbound(layer: Layer, found: IndexMap) -> list[IndexMap]:
    """What unbind takes a tensor apart into."""
    at = orders.place(layer, len(found.dims))
    return [index_map.without_dim(found, at, k) for k in range(found.shape[at])]


def slice_(layer: Layer, found: IndexMap) -> IndexMap:
    """narrow and aten.slice."""
    at = orders.place(layer, len(found.dims))
    kept = orders.kept_by_slice(layer, found.shape[at], layer.output_shape[at])
    return index_map.taken(found, at, np.arange(kept.start, kept.stop, kept.step))


def select(layer: Layer, found: IndexMap) -> IndexMap | None:
    """Tensor.select: one position along a dimension. None where it is not told which."""
    position = layer.attributes.get("index")
    at = orders.place(layer, len(found.dims))
    return index_map.without_dim(found, at, int(position)) if isinstance(position, int) else None


def indexed(layer: Layer, found: IndexMap) -> IndexMap | None:
    """Square brackets with slices, numbers, None, and at most one list. None where the index is not known."""
    index = orders.full_index(layer.attributes.get("index"), len(found.dims))
    if len([item for item in index if is_sequence(item)]) > 1:
        return None
    at = 0
    for item in index:
        if item is None:
            found = index_map.new_dim(found, at)
        elif isinstance(item, slice):
            found = index_map.taken(found, at, np.arange(found.shape[at])[item])
        elif is_sequence(item):
            found = index_map.taken(found, at, np.arange(found.shape[at])[list(item)])
        elif isinstance(item, int) and not isinstance(item, bool):
            found = index_map.without_dim(found, at, item % found.shape[at])
            continue
        else:
            return None
        at += 1
    return found


def concat(layer: Layer, maps: Sequence[IndexMap]) -> IndexMap | None:
    """torch.cat of tensors that all depend on the image. None where weights are among them."""
    at = orders.place(layer, len(maps[0].dims))
    if sum(found.shape[at] for found in maps) != layer.output_shape[at]:
        return None
    return index_map.concatenated(maps, at)


def stack(layer: Layer, maps: Sequence[IndexMap]) -> IndexMap | None:
    """torch.stack."""
    at = orders.place(layer, len(layer.output_shape))
    if len(maps) != layer.output_shape[at]:
        return None
    return index_map.concatenated([index_map.new_dim(found, at) for found in maps], at)


def pixel_shuffle(layer: Layer, found: IndexMap) -> IndexMap:
    """[…, C·r², H, W] to […, C, H·r, W·r]."""
    factor = int(layer.attributes["upscale_factor"])
    *lead, channels, rows, columns = found.shape
    found = index_map.reshaped(found, (*lead, channels // factor**2, factor, factor, rows, columns))
    at = len(lead)
    found = index_map.permuted(found, (*range(at), at, at + 3, at + 1, at + 4, at + 2))
    return index_map.reshaped(found, layer.output_shape)


def pixel_unshuffle(layer: Layer, found: IndexMap) -> IndexMap:
    """[…, C, H·r, W·r] to […, C·r², H, W]."""
    factor = int(layer.attributes["downscale_factor"])
    *lead, channels, rows, columns = found.shape
    found = index_map.reshaped(found, (*lead, channels, rows // factor, factor, columns // factor, factor))
    at = len(lead)
    found = index_map.permuted(found, (*range(at), at, at + 2, at + 4, at + 1, at + 3))
    return index_map.reshaped(found, layer.output_shape)


def channel_shuffle(layer: Layer, found: IndexMap) -> IndexMap:
    """Channels of g groups, dealt out one from each in turn."""
    groups = int(layer.attributes["groups"])
    batch, channels, *rest = found.shape
    found = index_map.reshaped(found, (batch, groups, channels // groups, *rest))
    found = index_map.permuted(found, (0, 2, 1, *range(3, len(found.dims))))
    return index_map.reshaped(found, layer.output_shape)
