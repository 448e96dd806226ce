"""The orders, places and numbers that layers which move elements are called with."""

from __future__ import annotations

from explorer.graph.layers import Layer
from explorer.types import is_sequence


def place(layer: Layer, rank: int, name: str = "dim", default: int = 0) -> int:
    """A dimension by its number from 0, be it given from the end."""
    value = layer.attributes.get(name)
    return int(default if value is None else value) % rank


def places(layer: Layer, rank: int, name: str = "dim") -> list[int]:
    """Dimensions by their numbers from 0; all where none is given."""
    return [i % rank for i in layer.numbers(name)] or list(range(rank))


def order(layer: Layer, rank: int) -> list[int]:
    """Which dimension comes where after permute, transpose or movedim."""
    found = list(range(rank))
    if layer.kind == "permute":
        return places(layer, rank, "dims") if layer.numbers("dims") else found[::-1]
    if layer.kind == "transpose":
        i, j = place(layer, rank, "dim0"), place(layer, rank, "dim1", 1)
        found[i], found[j] = found[j], found[i]
        return found
    sources, targets = places(layer, rank, "source"), places(layer, rank, "destination")
    found = [i for i in found if i not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        found.insert(target, source)
    return found


def kept_by_slice(layer: Layer, length: int, count: int) -> range:
    """The positions that narrow and aten.slice keep, `count` of a dimension of this length."""
    start = range(length)[slice(layer.attributes.get("start") or 0, None)].start
    step = int(layer.attributes.get("step") or 1)
    return range(start, start + count * step, step)


def full_index(index: object, rank: int) -> tuple[object, ...]:
    """An index with its ellipsis written out, and as long as there are dimensions."""
    items: tuple[object, ...] = tuple(index) if is_sequence(index) else (index,)
    missing = rank - sum(item is not None and item is not Ellipsis for item in items)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    return (*items[:at], *(slice(None),) * missing, *items[at + 1 :])
