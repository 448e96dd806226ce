"""Where a value stands in a Spec: the knob's name, then places in tuples and names in nested Specs. Plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

KnobPath = tuple[Any, ...]


def changed(value: Any, path: KnobPath, new: Any) -> Any:
    """Plain data with the value at `path` replaced; everything else is shared."""
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {**value, first: changed(value[first], rest, new)}
    return (*value[:first], changed(value[first], rest, new), *value[first + 1 :])


def at(value: Any, path: KnobPath) -> Any:
    """The part of plain data at `path`; of tuples with fewer entries, their last."""
    for step in path:
        value = value[min(step, len(value) - 1) if isinstance(value, tuple) else step]
    return value


def leaves(value: Any, path: KnobPath = ()) -> Iterator[KnobPath]:
    """The paths of all single values in plain data."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from leaves(part, (*path, name))
    elif isinstance(value, tuple):
        for place, part in enumerate(value):
            yield from leaves(part, (*path, place))
    else:
        yield path


def written(path: KnobPath) -> str:
    """A path as code writes it: ("stages", 2, "width") → "stages[2].width"."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def differences(before: Any, after: Any, path: KnobPath = ()) -> list[KnobPath]:
    """The paths at which plain data differ: single values, or whole tuples where their lengths do."""
    if isinstance(before, Mapping):
        return [found for name in before for found in differences(before[name], after[name], (*path, name))]
    if isinstance(before, tuple) and len(before) == len(after):
        parts = zip(before, after, strict=True)
        return [found for i, (old, new) in enumerate(parts) for found in differences(old, new, (*path, i))]
    return [path] if before != after else []
