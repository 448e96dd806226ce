"""The small types that all rooms share, once. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

Pair = tuple[int, int]  # one number per axis: height, width
Shape = tuple[int, ...]  # of a tensor
Size = tuple[int, int]  # height and width, in pixels or positions
InputSize = tuple[int, int, int]  # channels, height, width
Cell = tuple[int, int]  # row and column of a map
Colour = tuple[int, int, int]  # red, green, blue from 0 to 255
Box = tuple[int, int, int, int]  # top, left, bottom, right in pixels; bottom and right are exclusive


def is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether it is a list or tuple; `isinstance` alone would leave a type checker without a type of its items."""
    return isinstance(value, _SEQUENCES)


_SEQUENCES = (list, tuple)  # `list | tuple` would be made anew at every call
