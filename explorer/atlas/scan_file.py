"""A scan as one file: what was scanned, how far it is, and the nine strongest of each channel. Read as untrusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from explorer.analysis.top_nine import NINE, TopNine
from explorer.errors import UnknownNameError, UserError, listed, shown
from explorer.whole_file import write_whole
from models.errors import WeightsError
from models.weights.safetensors_file import read_header

MOST_SCAN_BYTES = 256 * 2**20  # some 30 times as much as all layers of ResNet-152
MOST_BROKEN = 1_000  # pictures that are listed; the others are counted
_HEADER = "scan"
_NAMED, _NAMES = "named", "names"
_PARTS = tuple(each.name for each in fields(TopNine))
_COMPACT = (np.uint8, np.uint16, np.uint32, np.int64)


@dataclass(frozen=True)
class ScanSubject:
    """What is scanned, so that a scan is gone on with on the same alone.

    network: its name; weights: their digest; pictures, pictures_digest, total: the set, and how many there are;
    preprocessing: in words; layers: their ids; batch: pictures a pass, which the last digit of a value may depend on.
    """

    network: str
    weights: str
    pictures: str
    pictures_digest: str
    total: int
    preprocessing: str
    layers: tuple[str, ...]
    batch: int


@dataclass(frozen=True)
class BrokenPicture:
    """A picture that was skipped, and the sentence that says why."""

    name: str
    problem: str


@dataclass(frozen=True, eq=False)
class Scan:
    """How far a scan is. seen: pictures looked at, those that are broken among them; top: by layer.

    broken: the first MOST_BROKEN by number, broken_count: how many there are. names: of the pictures in `top`, by
    number.
    """

    subject: ScanSubject
    top: Mapping[str, TopNine]
    seen: int = 0
    broken: tuple[BrokenPicture, ...] = ()
    broken_count: int = 0
    names: Mapping[int, str] = field(default_factory=dict[int, str])

    @property
    def is_complete(self) -> bool:
        """Whether all pictures were looked at."""
        return self.seen == self.subject.total

    def of(self, layer: str) -> TopNine:
        """The nine of a layer's channels. Raises UnknownNameError where it was not scanned."""
        if layer not in self.top:
            raise UnknownNameError(f"layer={shown(layer)} was not scanned; {listed(self.top)} were.")
        return self.top[layer]


def encode(scan: Scan) -> bytes:
    """The file of a scan: the same bytes for the same scan."""
    used = sorted(scan.names)
    tensors = {
        f"{number}.{part}": _compact(getattr(scan.top[layer], part))
        for number, layer in enumerate(scan.subject.layers)
        for part in _PARTS
    }
    tensors[_NAMED] = np.array(used, np.int64)
    tensors[_NAMES] = np.frombuffer(json.dumps([scan.names[number] for number in used]).encode(), np.uint8)
    header = {
        **asdict(scan.subject), "seen": scan.seen, "broken_count": scan.broken_count,
        "broken": [[each.name, each.problem] for each in scan.broken],
    }  # fmt: skip
    return save(tensors, {_HEADER: json.dumps(header, sort_keys=True)})  # one entry: those of several have no order


def _compact(values: np.ndarray) -> np.ndarray:
    """Whole numbers as the smallest type that holds them all; -1 is kept as the number above the greatest."""
    if values.dtype == np.float32:
        return np.ascontiguousarray(values)
    lifted = values.astype(np.int64) + 1
    kind = next(kind for kind in _COMPACT if lifted.max(initial=0) <= np.iinfo(kind).max)
    return np.ascontiguousarray(lifted.astype(kind))


def write_scan(path: Path, scan: Scan) -> None:
    """Write a scan, whole or not at all. Raises OSError."""
    content = encode(scan)
    write_whole(path, lambda draft: draft.write_bytes(content))


# -- reading ----------------------------------------------------------------------------------------------------------


def read_scan(path: Path) -> Scan:
    """A scan from its file, of which nothing is believed. Raises UserError that names the file, OSError."""
    size = path.stat().st_size
    if size > MOST_SCAN_BYTES:
        raise UserError(f"{path.name} has {size:,} bytes; a scan has at most {MOST_SCAN_BYTES:,}.")
    try:
        with path.open("rb") as file:
            metadata = read_header(file, size, path.name).get("__metadata__", {})
        return _checked(json.loads(metadata[_HEADER]), load(path.read_bytes()))
    except WeightsError as error:
        raise UserError(str(error)) from None
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{path.name} is damaged, or is no scan; delete it and scan again.") from None


def _checked(header: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> Scan:
    """Raises ValueError, TypeError, KeyError."""
    subject = ScanSubject(**{each.name: header[each.name] for each in fields(ScanSubject)})
    texts = (subject.network, subject.weights, subject.pictures, subject.pictures_digest, subject.preprocessing)
    counts = (subject.total, subject.batch, header["seen"], header["broken_count"])
    broken = tuple(BrokenPicture(_text(name), _text(problem)) for name, problem in header["broken"])
    subject = replace(subject, layers=tuple(map(_text, subject.layers)))
    _require(all(map(_text, texts)) and all(type(count) is int and count >= 0 for count in counts))
    _require(header["seen"] <= subject.total and len(broken) <= MOST_BROKEN)
    top = {layer: _top(tensors, number, subject.total) for number, layer in enumerate(subject.layers)}
    return Scan(subject, top, header["seen"], broken, header["broken_count"], _names(tensors, subject.total))


def _top(tensors: Mapping[str, np.ndarray], number: int, total: int) -> TopNine:
    values, *others = (tensors[f"{number}.{part}"] for part in _PARTS)
    _require(values.dtype == np.float32 and values.ndim == 2 and values.shape[1] == NINE and not np.isnan(values).any())
    _require(all(each.shape == values.shape and each.dtype in _COMPACT for each in others))
    pictures, rows, columns = (each.astype(np.int64) - 1 for each in others)
    _require(bool((pictures >= -1).all() and (pictures < total).all()))
    _require(all(bool((each >= 0).all() and (each < 2**31).all()) for each in (rows, columns)))
    return TopNine(values, pictures, rows.astype(np.int32), columns.astype(np.int32))


def _names(tensors: Mapping[str, np.ndarray], total: int) -> dict[int, str]:
    numbers, texts = tensors[_NAMED].tolist(), json.loads(tensors[_NAMES].tobytes())
    _require(all(0 <= number < total for number in numbers))
    return dict(zip(numbers, map(_text, texts), strict=True))


def _text(value: object) -> str:
    _require(isinstance(value, str))
    return str(value)


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError
