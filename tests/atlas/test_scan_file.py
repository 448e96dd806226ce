"""A scan's file: read back as it was written, the same bytes for the same scan, and nothing believed of a bad one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from explorer.analysis.top_nine import TopNine
from explorer.atlas.scan_file import BrokenPicture, Scan, ScanSubject, encode, read_scan, write_scan
from explorer.errors import UnknownNameError, UserError

SUBJECT = ScanSubject("zfnet_mini", "abc", "photos", "0123", 40_000, "shorter side to 64 px", ("features.2", "x y"), 32)


def some_scan() -> Scan:
    random = np.random.default_rng(0)
    numbers = random.permutation(40_000)[:12]
    top = {
        layer: TopNine.of_maxima(random.normal(size=(12, 5)), random.integers(0, 400 * 300, (12, 5)), numbers, 300)
        for layer in SUBJECT.layers
    }
    names = {int(number): f"cats/é {number}.png" for number in numbers}
    return Scan(SUBJECT, top, 39_000, (BrokenPicture("a.png", "a.png is empty (0 bytes)."),), 1, names)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    scan, path = some_scan(), tmp_path / "scan.safetensors"
    write_scan(path, scan)
    found = read_scan(path)
    assert found.subject == SUBJECT
    assert (found.seen, found.broken, found.broken_count, found.names) == (39_000, scan.broken, 1, scan.names)
    for layer in SUBJECT.layers:
        for part in ("values", "pictures", "rows", "columns"):
            np.testing.assert_array_equal(getattr(found.of(layer), part), getattr(scan.of(layer), part))
    assert encode(found) == path.read_bytes()
    assert not found.is_complete


def test_fewer_than_nine_stay_fewer(tmp_path: Path) -> None:
    numbers = np.array([7, 3])
    top = TopNine.of_maxima(np.ones((2, 4)), np.zeros((2, 4), int), numbers, 1)
    subject = replace(SUBJECT, layers=("fc",))
    write_scan(tmp_path / "scan.safetensors", Scan(subject, {"fc": top}))
    found = read_scan(tmp_path / "scan.safetensors").of("fc")
    assert found.count(0) == 2
    assert found.pictures[0].tolist() == [3, 7, -1, -1, -1, -1, -1, -1, -1]
    assert found.values.tolist() == top.values.tolist()


def test_a_layer_that_was_not_scanned_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"layer='fc' was not scanned; features\.2, x y were"):
        some_scan().of("fc")


CONTENT = encode(some_scan())


def rewritten(header: dict[str, Any], tensors: dict[str, np.ndarray] | None = None) -> bytes:
    """CONTENT with some entries of its header or some tensors changed."""
    length = int.from_bytes(CONTENT[:8], "little")
    metadata = json.loads(json.loads(CONTENT[8 : 8 + length])["__metadata__"]["scan"])
    return save({**load(CONTENT), **(tensors or {})}, {"scan": json.dumps({**metadata, **header})})


HUGE = np.full((5, 9), 2**40, np.int64)
BAD = {
    "empty": b"",
    "cut": CONTENT[:-1],
    "no scan": save({"weight": np.zeros(3, np.float32)}),
    "text": b"not a scan at all, but long enough to be one",
    "seen is more than there are": rewritten({"seen": 40_001}),
    "seen is no number": rewritten({"seen": "all"}),
    "layers are none": rewritten({"layers": 7}),
    "a layer more": rewritten({"layers": ["features.2", "x y", "fc"]}),
    "network is a list": rewritten({"network": [1]}),
    "broken is text": rewritten({"broken": "aa"}),
    "picture beyond the set": rewritten({}, {"0.pictures": HUGE}),
    "negative row": rewritten({}, {"0.rows": np.full((5, 9), -5, np.int64)}),
    "column beyond any map": rewritten({}, {"1.columns": HUGE}),
    "another shape": rewritten({}, {"0.values": np.zeros((5, 8), np.float32)}),
    "another type": rewritten({}, {"0.values": np.zeros((5, 9), np.float64)}),
    "NaN": rewritten({}, {"0.values": np.full((5, 9), np.nan, np.float32)}),
    "names are fewer": rewritten({}, {"names": np.frombuffer(b'["a"]', np.uint8)}),
    "names are no JSON": rewritten({}, {"names": np.frombuffer(b"\xff", np.uint8)}),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.safetensors"
    path.write_bytes(BAD[what])
    with pytest.raises(UserError, match=r"^scan\.safetensors .*\.$"):
        read_scan(path)
