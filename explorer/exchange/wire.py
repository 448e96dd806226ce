"""The wire format of Protocol Buffers, read by a table of fields and within a budget. Standard library only.

A library makes an object of some hundred bytes from every two bytes of a hostile file; here what is decoded is counted,
and long values stay views of the file. The format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MOST_FIELDS = 1_000_000  # in one file: the largest networks of torchvision and timm have 400,000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10  # bytes

Scalar = Literal["int", "float", "double", "bytes", "text"]


class WireError(ValueError):
    """What is no message of this format, or more than is read; the sentence has no name of the file."""


@dataclass(frozen=True)
class Tag:
    """One field of a message: its name, its type (a scalar, or the fields of a message), and whether and how often at
    most it repeats."""

    name: str
    kind: Scalar | Mapping[int, Tag]
    many: bool = False
    most: int = MOST_FIELDS


Schema = Mapping[int, Tag]
Message = dict[str, Any]


@dataclass
class Budget:
    """What is left of the fields that may be decoded."""

    left: int = field(default=MOST_FIELDS)

    def spend(self, count: int = 1) -> None:
        """Raises WireError where nothing is left."""
        self.left -= count
        if self.left < 0:
            raise WireError(f"has more than {MOST_FIELDS:,} entries")


def decode(data: memoryview, schema: Schema, budget: Budget) -> Message:
    """The fields of a message that the table has, by name; of the others the values are passed over.

    A field that repeats is a list, empty where it is missing. Bytes are views of `data`. Raises WireError.
    """
    found: Message = {entry.name: [] for entry in schema.values() if entry.many}
    for number, value in _fields(data, budget):
        entry = schema.get(number)
        if entry is None:
            continue
        if entry.many:
            found[entry.name].extend(_several(entry.kind, value, budget))
            if len(found[entry.name]) > entry.most:
                raise WireError(f"has more than the {entry.most:,} {entry.name}s that are read")
        else:
            found[entry.name] = _one(entry.kind, value, budget)
    return found


def _fields(data: memoryview, budget: Budget) -> Iterator[tuple[int, int | memoryview]]:
    """Number and raw value of each field."""
    at, end = 0, len(data)
    while at < end:
        budget.spend()
        key, at = _varint(data, at)
        wire, number = key & 7, key >> 3
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise WireError("is damaged: it holds a value of no known type")
        if size > end - at:
            raise WireError("is cut short, or damaged: a value in it is longer than what is left")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number of up to 64 bits, and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + place + 1
    raise WireError("is cut short, or damaged: a number in it does not end")


def _one(kind: Scalar | Schema, value: int | memoryview, budget: Budget) -> Any:
    if isinstance(value, int):
        if kind != "int":
            raise WireError("is damaged: a number stands where none can be")
        return value - 2**64 if value >= 2**63 else value
    if not isinstance(kind, str):
        return decode(value, kind, budget)
    match kind:
        case "bytes":
            return value
        case "text":
            return str(value, "utf-8", "replace")
        case "float" | "double" if len(value) == (size := 4 if kind == "float" else 8):
            return struct.unpack("<f" if size == 4 else "<d", value)[0]
    raise WireError("is damaged: a value has the wrong type")


def _several(kind: Scalar | Schema, value: int | memoryview, budget: Budget) -> list[Any]:
    """The values of one occurrence of a field that repeats: numbers may be packed, all in one."""
    if isinstance(value, int) or kind not in ("int", "float", "double"):
        return [_one(kind, value, budget)]
    if kind == "int":
        return list(_packed(value, budget))
    size = 4 if kind == "float" else 8
    count, rest = divmod(len(value), size)
    if rest:
        raise WireError("is damaged: a list of numbers does not end")
    budget.spend(count)
    return list(struct.unpack(f"<{count}{'f' if size == 4 else 'd'}", value))


def _packed(data: memoryview, budget: Budget) -> Iterator[int]:
    at = 0
    while at < len(data):
        budget.spend()
        value, at = _varint(data, at)
        yield value - 2**64 if value >= 2**63 else value
