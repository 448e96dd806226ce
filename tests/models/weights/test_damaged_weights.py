"""Files of weights that are damaged, too large or gone: one sentence, and the network stays as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from models.errors import WeightsError
from models.weights import safetensors_file
from models.weights.sources import file_source, load
from tests.support.checkpoints import copy_of, refusal, same, tiny, trained, upload


def framed(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def entries(*ranges: tuple[int, int]) -> bytes:
    """A header of float vectors that lie at these byte ranges."""
    return json.dumps(
        {f"t{i}": {"dtype": "F32", "shape": [(b - a) // 4], "data_offsets": [a, b]} for i, (a, b) in enumerate(ranges)}
    ).encode()


WHOLE = save(trained())
DAMAGED = {
    "empty": (b"", "not a safetensors file"),
    "seven bytes": (b"1234567", "not a safetensors file"),
    "a zip": (b"PK\x03\x04" + bytes(100), "not a safetensors file"),
    "huge header": ((2**63).to_bytes(8, "little") + b"{}", "not a safetensors file"),
    "cut in the header": (WHOLE[:100], "is cut short: its header alone has"),
    "cut in the data": (WHOLE[:-1], f"is cut short: it has {len(WHOLE) - 1:,} of {len(WHOLE):,} bytes."),
    "bytes too many": (WHOLE + b"\0", "is damaged"),
    "no JSON": (framed(b"{'a': 1}"), "its header is not valid JSON"),
    "no UTF-8": (framed(b'{"\xff": 1}'), "its header is not valid JSON"),
    "a list": (framed(b"[1, 2, 3]"), "its header is not a JSON object"),
    "nested deeply": (framed(b"[" * 1_000_000), "its header is not valid JSON"),
    "a long number": (framed(b'{"a": 1' + b"0" * 5000 + b"}"), "its header is not valid JSON"),
    "overlap": (framed(entries((0, 8), (4, 12)), bytes(12)), "is damaged"),
    "a gap": (framed(entries((0, 4), (8, 12)), bytes(12)), "is damaged"),
    "backwards": (framed(entries((0, 4), (12, 4)), bytes(12)), "is damaged"),
    "beyond 64 bits": (framed(entries((0, 4), (4, 2**70)), bytes(12)), "is cut short"),
    "no tensors": (framed(b"{}"), "is in the network and not in the file; 7 more tensors differ"),
    "odd entries": (framed(b'{"a": 1, "__metadata__": 3}'), "is damaged"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused(case: str) -> None:
    content, sentence = DAMAGED[case]
    message = refusal(upload(content))
    assert message.startswith("mine.safetensors")
    assert sentence in message


def test_too_large_a_file_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_file, "MAX_FILE_BYTES", 1000)
    assert f"has {len(WHOLE):,} bytes; at most 1,000 are read" in refusal(upload(WHOLE))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    assert "mine cannot be read: No such file" in refusal(lambda: file_source("mine", path, "resnet_mini"))
    path.write_bytes(WHOLE)
    source = file_source("mine", path, "resnet_mini")
    path.unlink()
    assert "mine cannot be read: No such file" in refusal(source)


@pytest.mark.fuzz
@given(
    cut=st.none() | st.integers(0, len(WHOLE)),
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1) | st.integers(0, 700), st.integers(0, 255)), max_size=4),
)
def test_any_damage_is_an_error_of_ours_or_loads(cut: int | None, changes: list[tuple[int, int]]) -> None:
    content = bytearray(WHOLE)
    for place, value in changes:
        content[place] = value
    module = tiny()
    before = copy_of(module)
    try:
        load(module, upload(bytes(content[:cut]))())
    except WeightsError:
        assert same(before, module.state_dict())
    else:
        assert cut in (None, len(WHOLE))
        assert not same(before, module.state_dict())
