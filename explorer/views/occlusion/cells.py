"""A cell of a map as a link says it: "row,column"."""

from __future__ import annotations


def decode(text: str, size: tuple[int, int]) -> tuple[int, int] | None:
    """The cell that the text names, moved into a map of `size`; None where it names none."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    row, column = (min(int(part[:9]), limit - 1) for part, limit in zip(parts, size, strict=True))
    return row, column


def encode(cell: tuple[int, int]) -> str:
    """The text of a cell."""
    return f"{cell[0]},{cell[1]}"
