"""Windows over index maps: convolutions, pools, resizes, patches taken out and put back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explorer.graph.layers import Layer
from explorer.receptive_field import dims, index_map, mixing, taps
from explorer.receptive_field.index_map import IndexMap, Tables
from explorer.receptive_field.intervals import inside, sources
from explorer.receptive_field.tables import Atom
from explorer.receptive_field.taps import ONE_TO_ONE, Taps
from explorer.types import Shape

_RANKS = {"1d": 1, "3d": 3}  # by the end of a kind's name; others slide along two dimensions


def windowed(layer: Layer, found: IndexMap) -> IndexMap | None:
    """A layer with a window along the last dimensions, which sums channels if it is a convolution; None where the
    window is not told, as to F.max_unpool2d."""
    if layer.kind == "unpool" and layer.window is None:
        return None
    rank = _RANKS.get(layer.kind[-2:], 2)
    first, target = len(found.dims) - rank, layer.output_shape
    if layer.kind == "own_window":  # whether it mixes channels is not told
        mixed = mixing.contracted(found, first - 1, target[first - 1], 1)
        found = replace(mixed, is_exact=found.is_exact and not found.varies(found.dims[first - 1]))
    if layer.kind.startswith("conv"):
        groups = int(layer.attributes.get("groups") or 1)
        found = mixing.contracted(found, first - 1, target[first - 1], groups)
    steps = _steps(layer, found.shape[first:], target[first:])
    was_map = any(n > 1 for n in found.shape[first:])
    for i, step in enumerate(steps):
        found = slid(found, first + i, step, target[first + i])
    pooled = layer.kind.startswith("adaptive") and was_map and set(target[first:]) == {1}
    return replace(found, local=None) if pooled else found


def _steps(layer: Layer, before: Shape, after: Shape) -> list[Taps]:
    if len(before) == 2:
        return [taps.of_layer(layer, axis, before[axis], after[axis]) or ONE_TO_ONE for axis in (0, 1)]
    return [taps.of_dimension(layer, axis, before[axis], after[axis]) for axis in range(len(before))]


def slid(found: IndexMap, at: int, step: Taps, size: int) -> IndexMap:
    """A dimension read through a window, at `size` positions."""
    atoms = found.dims[at]
    if step == ONE_TO_ONE and found.shape[at] == size:
        return found
    label, inside_it = index_map.common_label(atoms), _stays_inside(step, found.shape[at], size)
    if inside_it and not found.varies(atoms):
        return found.with_dim(at, (Atom(size, label),))
    found, atom = index_map.merged(found, at)
    one = Atom(size, label)

    def read(pair: Tables) -> Tables:
        if not inside_it and not any(atom in table.axes for table in pair):
            pair = pair[0].along(atom), pair[1].along(atom)  # where padding alone is read, nothing is seen
        return pair[0].read(atom, step, one), pair[1].read(atom, step, one)

    found = replace(found, map_size=_resized(found.map_size, label, size))
    return found.with_pairs(read, (*found.dims[:at], (one,), *found.dims[at + 1 :]))


def _resized(map_size: tuple[int, int], label: str, size: int) -> tuple[int, int]:
    """The size of a map whose rows (columns) have become others."""
    return size if label == dims.H else map_size[0], size if label == dims.W else map_size[1]


def _stays_inside(step: Taps, count: int, size: int) -> bool:
    """Whether no position reads padding alone."""
    read = inside(sources(step, size), count, step.border)
    return bool(((read >= 0) & (read < count)).any(axis=1).all())


def padded(layer: Layer, found: IndexMap) -> IndexMap:
    """F.pad, which lists (before, after) from the last dimension backwards."""
    pad, mode = layer.numbers("pad"), str(layer.attributes.get("mode") or "constant")
    border = "zeros" if mode == "constant" else mode
    for i in range(len(pad) // 2):
        at = len(found.dims) - 1 - i
        found = slid(found, at, Taps(1, 1, ((-pad[2 * i],),), border), layer.output_shape[at])
    return found


def patches(layer: Layer, found: IndexMap) -> IndexMap:
    """F.unfold: [N, C, H, W] to [N, C·kernel, positions]."""
    for axis in (0, 1):
        found = _taken_out(found, 2 + 2 * axis, *_sizes(layer, axis), positions=None)
    order = (0, 1, 2, 4, 3, 5)  # N, C, the window's rows and columns, its places along rows and columns
    return index_map.reshaped(index_map.permuted(found, order), layer.output_shape)


def _sizes(layer: Layer, axis: int) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation along an axis."""
    found = (layer.numbers(name) or (default,) for name, default in
             (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1)))  # fmt: skip
    kernel, stride, padding, dilation = (values[min(axis, len(values) - 1)] for values in found)
    return kernel, stride, padding, dilation


def _taken_out(
    found: IndexMap, at: int, kernel: int, stride: int, padding: int, dilation: int, positions: int | None
) -> IndexMap:
    """A dimension as two: the places within a window, and where the window lies."""
    size = found.shape[at]
    count = positions or (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    found, atom = index_map.merged(found, at)
    within, places = Atom(kernel, dims.C), Atom(count, atom.label)
    read = np.arange(kernel)[:, None] * dilation - padding + np.arange(count) * stride
    new = (*found.dims[:at], (within,), (places,), *found.dims[at + 1 :])
    found = replace(found, map_size=_resized(found.map_size, atom.label, count))
    return found.with_tables(lambda table: table.gathered(atom, read, (within, places)), new)


def windows_of(layer: Layer, found: IndexMap) -> IndexMap:
    """Tensor.unfold: windows along one dimension, whose elements become a last one."""
    at = int(layer.attributes["dim"]) % len(found.dims)
    size, step = int(layer.attributes["size"]), int(layer.attributes["step"])
    found = _taken_out(found, at, size, step, 0, 1, layer.output_shape[at])
    order = [i for i in range(len(found.dims)) if i != at]
    return index_map.permuted(found, [*order, at])


def put_back(layer: Layer, found: IndexMap) -> IndexMap:
    """F.fold: patches [N, C·kernel, positions] summed where they lie, to [N, C, H, W]."""
    batch, channels, *sizes = layer.output_shape
    kernels, places = zip(*(_places(layer, axis, sizes[axis]) for axis in (0, 1)), strict=True)
    found = index_map.reshaped(found, (batch, channels, *kernels, *places))
    found = index_map.permuted(found, (0, 1, 2, 4, 3, 5))
    for axis in (0, 1):
        found = _summed_where_they_lie(layer, found, axis, sizes[axis])
    return found


def _places(layer: Layer, axis: int, size: int) -> tuple[int, int]:
    kernel, stride, padding, dilation = _sizes(layer, axis)
    return kernel, (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _summed_where_they_lie(layer: Layer, found: IndexMap, axis: int, size: int) -> IndexMap:
    """Dimensions (window, places) at 2 + axis as one of `size` positions."""
    kernel, stride, padding, dilation = _sizes(layer, axis)
    at, (_, count) = 2 + axis, _places(layer, axis, size)
    label = index_map.common_label(found.dims[at + 1])
    found = index_map.reshaped(found, (*found.shape[:at], kernel * count, *found.shape[at + 2 :]))
    found, atom = index_map.merged(found, at)
    offset, tap = np.arange(size)[:, None] + padding, np.arange(kernel)
    place, rest = np.divmod(offset - tap * dilation, stride)
    there = (rest == 0) & (place >= 0) & (place < count)
    read = np.where(there, tap * count + place, -1)
    one, within = Atom(size, label), Atom(kernel, dims.C)
    new = (*found.dims[:at], (one,), *found.dims[at + 1 :])
    return found.with_tables(lambda table: table.gathered(atom, read, (one, within)).without([within]), new)
