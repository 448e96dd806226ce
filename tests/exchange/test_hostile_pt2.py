"""What a hostile .pt2 file meets: one sentence that names it, no code of its own, and memory within a limit."""

from __future__ import annotations

import contextlib
import io
import pickle
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import explorer
from explorer.errors import LONGEST_SENTENCE, UserError
from explorer.exchange.network_file import open_network_file
from explorer.exchange.pt2_file import MOST_JSON_VALUES
from tests.support.places import ROOT
from tests.support.pt2_files import PROGRAM, WEIGHTS, plain_pt2, rewritten, with_json

PLAIN = plain_pt2()
ROOM_BYTES = 1024**3  # of addresses, beside what Python and torch take


def refusal(content: bytes) -> str:
    with pytest.raises(UserError) as caught:
        open_network_file("a.pt2", content)
    said = str(caught.value)
    assert said.startswith("a.pt2")
    assert said.isprintable()
    assert len(said) <= LONGEST_SENTENCE
    return said


class Payload:
    """A pickle that leaves a trace where it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_no_pickle_of_the_file_is_opened(tmp_path: Path) -> None:
    trace = tmp_path / "opened"
    payload = pickle.dumps(Payload(trace))
    hostile = rewritten(
        PLAIN, {"data/sample_inputs/model.pt": lambda _: payload, "data/constants/custom_obj_0": lambda _: payload}
    )
    assert explorer.analyze(open_network_file("a.pt2", hostile).build("cpu"), (3, 8, 8)).params == 112

    def pickled(said: Any) -> None:
        said["config"]["0.weight"]["use_pickle"] = True

    weights = rewritten(with_json(PLAIN, WEIGHTS, pickled), {"data/weights/weight_0": lambda _: payload})
    assert "holds '0.weight' as a pickle, which is not opened" in refusal(weights)
    assert not trace.exists()


def node(place: int, **changes: Any) -> Callable[[Any], None]:
    return lambda said: said["graph_module"]["graph"]["nodes"][place].update(changes)


def payload(**changes: Any) -> Callable[[Any], None]:
    return lambda said: said["config"]["0.weight"].update(changes)


def sizes(*shape: int, strides: tuple[int, ...] = (27, 9, 3, 1), offset: int = 0) -> Callable[[Any], None]:
    def change(said: Any) -> None:
        meta = said["config"]["0.weight"]["tensor_meta"]
        meta["sizes"], meta["strides"] = ([{"as_int": n} for n in numbers] for numbers in (shape, strides))
        meta["storage_offset"] = {"as_int": offset}

    return change


def second_input(said: Any) -> None:
    specs = said["graph_module"]["signature"]["input_specs"]
    specs.append(specs[-1])


def forward_reference(said: Any) -> None:
    said["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_tensor": {"name": "relu"}}


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        (PROGRAM, node(1, target="torch.ops.aten.from_file.default"), "from_file.default' in '1' is not known here"),
        (PROGRAM, node(1, target="torch.ops.aten.__class__.mro"), "is not known here"),
        (PROGRAM, node(1, target="torch.ops.aten.relu.__class__"), "is not known here"),
        (PROGRAM, node(1, target="torch.ops.aten.set_.source_Storage"), "is not known here"),
        (PROGRAM, node(1, target="torch.ops.aten.empty.memory_format"), "is not known here"),
        (PROGRAM, node(1, target="os.system"), "'os.system' in '1' is not known here"),
        (PROGRAM, node(1, target="torch.ops.<b>.evil"), "<b>"),
        (PROGRAM, node(1, target="x" * 10_000), "should have at most 500 characters"),
        (PROGRAM, node(1, inputs=[{"name": "self", "arg": {"as_graph": {}}, "kind": 1}]), "of a kind that is not read"),
        (PROGRAM, node(1, inputs=[]), "does not fit its input"),
        (PROGRAM, node(0, inputs=7), "is damaged"),
        (PROGRAM, forward_reference, "reads 'relu', which nothing before makes"),
        (PROGRAM, second_input, "takes 2 inputs"),
        (WEIGHTS, payload(path_name="../../../../etc/passwd"), "it lacks 'data/weights/../../../../etc/passwd'"),
        (WEIGHTS, payload(tensor_meta=None), "as a pickle"),
        (WEIGHTS, sizes(4, 3, 3, 4), "'0.weight' should be '4×3×3×4' and has 108 values"),
        (WEIGHTS, sizes(4, 3, 3, 3, offset=1), "'0.weight' should be"),
        (WEIGHTS, sizes(4, 3, 3, 3, offset=-1), "'0.weight' has no size"),
        (WEIGHTS, sizes(2**40, 2**40, 1, 1), "'0.weight' should be"),
        (WEIGHTS, sizes(1, 1, 1, 1, strides=(10**30, 1, 1, 1)), "'0.weight' has no size"),
        (WEIGHTS, sizes(0, 10**30, 1, 1), "'0.weight' has no size"),
        (WEIGHTS, sizes(10**6, 10**6, 1, 1, strides=(0, 0, 0, 0)), "'0.weight' should be"),
        (WEIGHTS, sizes(4, 3, 3, strides=(27, 9)), "'0.weight' has no size"),
        (WEIGHTS, lambda said: said["config"].pop("0.weight"), "it lacks the weight '0.weight'"),
    ],
)  # fmt: skip
def test_lies_are_refused_by_name(path: str, change: Callable[[Any], Any], said: str) -> None:
    assert said in refusal(with_json(PLAIN, path, change))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK\x03\x04", b"\x80\x04}", b"<html>", PLAIN[:-30],
        rewritten(PLAIN, {PROGRAM: lambda _: None}), rewritten(PLAIN, {PROGRAM: lambda _: b"[" * 100_000}),
        rewritten(PLAIN, {PROGRAM: lambda _: b"{}"}), rewritten(PLAIN, {}, zipfile.ZIP_DEFLATED),
        rewritten(PLAIN, {WEIGHTS: lambda _: b'{"config": {"0.weight": 1}}'}),
    ],
)  # fmt: skip
def test_what_is_no_exported_program_is_refused(content: bytes) -> None:
    refusal(content)


def test_cuts_are_refused() -> None:
    for length in range(0, len(PLAIN), 97):
        refusal(PLAIN[:length])


def test_a_flipped_weight_is_found_out() -> None:
    place = PLAIN.index(b"weight_0") + 300
    assert refusal(PLAIN[:place] + bytes([PLAIN[place] ^ 1]) + PLAIN[place + 1 :])


@pytest.mark.fuzz
@given(st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_raise_no_more_than_a_sentence(flips: list[tuple[int, int]]) -> None:
    content = bytearray(PLAIN)
    for place, value in flips:
        content[place] = value
    with contextlib.suppress(UserError):
        explorer.analyze(open_network_file("a.pt2", bytes(content)).build("meta"), (3, 8, 8))


def test_names_never_become_paths_or_attributes_of_the_module() -> None:
    for name in (
        "forward",
        "__class__",
        "..",
        "a..b",
        "../../x",
        "training",
        "program",
        "<b>.weight",
        "x\0y",
        "_modules",
    ):

        def named(said: Any, name: str = name) -> None:
            said["config"][name] = said["config"].pop("0.weight")

        def read(said: Any, name: str = name) -> None:
            said["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = name

        module = open_network_file("a.pt2", with_json(with_json(PLAIN, WEIGHTS, named), PROGRAM, read)).build("cpu")
        assert explorer.analyze(module, (3, 8, 8)).params == 112


# Opened with little room for memory.
BOMBS = """
import resource, sys
import torch
from explorer.errors import UserError
from explorer.exchange.network_file import open_network_file
from explorer.networks import catalog
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[1]), hard))
for path in sys.argv[2:]:
    try:
        open_network_file("a.pt2", open(path, "rb").read())
        print("opened")
    except UserError as error:
        print(error)
"""


def _many_values(count: int) -> bytes:
    return rewritten(PLAIN, {PROGRAM: lambda _: b"[" + b"{}," * (count // 2 - 1) + b"{}]"})


def _terabytes_by_shape() -> bytes:
    size = [{"name": "size", "arg": {"as_ints": [10**6, 10**6]}, "kind": 1},
            {"name": "fill_value", "arg": {"as_float": 1.0}, "kind": 1}]  # fmt: skip
    return with_json(PLAIN, PROGRAM, node(1, target="torch.ops.aten.full.default", inputs=size))


def test_bombs_stay_within_a_gigabyte(tmp_path: Path) -> None:
    bombs = {
        "is damaged": _many_values(MOST_JSON_VALUES), "describes its network in more than": _many_values(20_000_000),
        "describes its network in 40,": rewritten(PLAIN, {PROGRAM: lambda data: data + b" " * 40_000_000}),
        "is damaged: its parts": _overlapping(), "": _terabytes_by_shape(),
    }  # fmt: skip
    paths = [tmp_path / str(place) for place in range(len(bombs))]
    for path, content in zip(paths, bombs.values(), strict=True):
        path.write_bytes(content)
    command = [sys.executable, "-c", BOMBS, str(ROOM_BYTES), *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    for said, line in zip(bombs, done.stdout.splitlines(), strict=True):
        assert said in line


def _overlapping() -> bytes:
    """A thousand weights that lie within each other, around one megabyte of the file."""
    made, data, inside = io.BytesIO(), b"\0" * 2**20, []
    for place in range(1000):
        entry = zipfile.ZipInfo(f"archive/data/weights/w{place}")
        entry.file_size = entry.compress_size = len(data)
        entry.CRC = zlib.crc32(data)
        data = entry.FileHeader() + data
        inside.append((entry, len(data)))
    made.write(_of_many_weights())
    with zipfile.ZipFile(made, "a") as archive:
        for entry, size in inside:
            entry.header_offset = archive.start_dir + len(data) - size
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
        assert archive.fp
        archive.fp.seek(archive.start_dir)
        archive.fp.write(data)
        archive.start_dir = archive.fp.tell()
        archive._didModify = True  # pyright: ignore[reportAttributeAccessIssue]
    return made.getvalue()


def _of_many_weights() -> bytes:
    def read(said: Any) -> None:
        signature = said["graph_module"]["signature"]["input_specs"]
        signature[:0] = [{"buffer": {"arg": {"name": f"b{n}"}, "buffer_name": f"b{n}"}} for n in range(1000)]

    def held(said: Any) -> None:
        meta = said["config"]["0.bias"]
        said["config"] |= {f"b{n}": meta | {"path_name": f"w{n}"} for n in range(1000)}

    return with_json(with_json(PLAIN, PROGRAM, read), WEIGHTS, held)


def test_more_nodes_than_are_read_are_refused() -> None:
    def many(said: Any) -> None:
        said["graph_module"]["graph"]["nodes"] = [{"target": "", "inputs": [], "outputs": []}] * 50_001

    assert "at most 50000 items" in refusal(with_json(PLAIN, PROGRAM, many))
