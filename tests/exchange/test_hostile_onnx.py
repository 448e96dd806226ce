"""What a hostile .onnx file meets: one sentence that names it, no code of its own, and memory within a limit."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import explorer
from explorer.errors import LONGEST_SENTENCE, UserError
from explorer.exchange import onnx_file, wire
from explorer.exchange.network_file import open_network_file
from explorer.networks import catalog
from tests.support.onnx_files import file_of, model_of, plain_file
from tests.support.places import ROOT

PLAIN = plain_file()
ROOM_BYTES = 1024**3  # of addresses, beside what Python and torch take: what opening any hostile file here may use


def refusal(content: bytes) -> str:
    with pytest.raises(UserError) as caught:
        open_network_file("a.onnx", content)
    said = str(caught.value)
    assert said.startswith("a.onnx")
    assert said.isprintable()
    assert len(said) <= LONGEST_SENTENCE
    return said


def changed(change: Callable[[onnx.ModelProto], None]) -> bytes:
    model = onnx.load_from_string(PLAIN)
    change(model)
    return model.SerializeToString()


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def lying(dims: list[int]) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    return change


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.add().CopyFrom(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def huge_side(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**40


def foreign(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type, model.graph.node[1].domain = "<script>alert(1)</script>", "evil"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lying([4, 3, 3, 4]), "'conv.weight' should be '4×3×3×4' and has 108 values"),
        (lying([-4, -27]), "'conv.weight' should be"),
        (lying([2**62, 2**62]), "'conv.weight' should be"),
        (second_input, "takes 2 inputs ('x', 'mask')"),
        (huge_side, "a side of 1099511627776"),
        (foreign, "evil.<script>"),
        (lambda model: setattr(model.graph.node[0], "op_type", "Loop"), "its operation 'Loop' is not known here"),
        (lambda model: model.graph.node[1].input.__setitem__(0, "nowhere"), "it reads 'nowhere', which nothing"),
        (lambda model: setattr(model.graph.node[0], "op_type", "x" * 10_000), "a name of 10,000 characters"),
        (lambda model: model.functions.add(name="f", domain="d"), "has functions of its own"),
        (lambda model: model.ClearField("graph"), "is no ONNX file, or one without a network"),
        (lambda model: setattr(model.graph.initializer[0], "data_type", 8), "in a type that is not read"),
    ],
)
def test_lies_are_refused_by_name(change: Callable[[onnx.ModelProto], None], said: str) -> None:
    assert said in refusal(changed(change))


def test_of_weights_in_another_file_the_structure_alone_is_read() -> None:
    network = open_network_file("a.onnx", changed(external))
    assert explorer.analyze(network.build("meta"), network.input_size).params == 108
    with pytest.raises(UserError, match=r"^a\.onnx keeps 'conv\.weight' in another file, which is not read") as caught:
        network.build("cpu")
    assert "passwd" not in str(caught.value)


def test_a_shape_of_many_sides_is_refused_before_they_are_multiplied() -> None:
    """The product of a hundred thousand of the longest takes a minute."""
    said = refusal(changed(lying([2**62] * 100_000)))
    assert said == "a.onnx has more than the 64 dims that are read."


@pytest.mark.parametrize(
    ("op", "sizes", "said"),
    [
        ("CumSum", ([1, 2],), "'CumSum' is over several axes, or none"),
        ("Range", ([], [1, 9], [1]), "'Range' has a bound that is not one number"),
        ("Range", ([0], [2**40], [1]), "'Range' makes a tensor of 1,099,511,627,776 values"),
        ("ConstantOfShape", ([2**20, 2**20],), "'ConstantOfShape' makes a tensor of 1,099,511,627,776 values"),
    ],
)
def test_whole_numbers_that_do_not_fit_are_refused(op: str, sizes: tuple[list[int], ...], said: str) -> None:
    """What is made of them alone is in no estimate of memory."""
    named = {f"n{place}": np.array(each, np.int64) for place, each in enumerate(sizes)}
    image = ["x"] if op == "CumSum" else []
    assert said in refusal(file_of([helper.make_node(op, [*image, *named], ["y"])], named))


@pytest.mark.parametrize("dims", [[2**62, 2**62], [-4, -27], [2**40]])
def test_shapes_that_lie_of_weights_in_another_file_are_refused(dims: list[int]) -> None:
    def change(model: onnx.ModelProto) -> None:
        external(model)
        lying(dims)(model)

    assert "is damaged: 'conv.weight' should be" in refusal(changed(change))


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"\x80\x04}", b"<html>", b"\x0a" * 1000, b"\xff" * 1000, b"\x3a\xff\xff\xff\xff\x0f"],
)
def test_what_is_no_onnx_file_is_refused(content: bytes) -> None:
    refusal(content)


def test_every_cut_is_refused_or_still_a_network() -> None:
    for length in range(len(PLAIN)):
        try:
            open_network_file("a.onnx", PLAIN[:length])
        except UserError as error:
            assert str(error).startswith("a.onnx")


@pytest.mark.fuzz
@given(st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_raise_no_more_than_a_sentence(flips: list[tuple[int, int]]) -> None:
    content = bytearray(PLAIN)
    for place, value in flips:
        content[place] = value
    with contextlib.suppress(UserError):
        explorer.analyze(open_network_file("a.onnx", bytes(content)).build("meta"), (3, 8, 8))


def test_a_million_nodes_are_refused() -> None:
    node = helper.make_node("Relu", ["x"], ["y"]).SerializeToString()
    graph = (b"\x0a" + bytes([len(node)]) + node) * 1_000_000
    said = refusal(b"\x08\x09\x3a" + _varint(len(graph)) + graph)
    assert said == "a.onnx has more than the 50,000 nodes that are read."


def test_names_never_become_paths_or_attributes_of_the_module() -> None:
    weight = np.ones((4, 3, 1, 1), np.float32)
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
        content = file_of([helper.make_node("Conv", ["x", name], ["y"])], {name: weight})
        module = open_network_file("a.onnx", content).build("cpu")
        assert sum(value.numel() for value in module.parameters()) == 12
        assert explorer.analyze(module, (3, 8, 8)).params == 12


# A file whose two bytes are a node, or whose shapes promise terabytes; opened with little room for memory.
BOMBS = """
import resource, sys
import torch
from explorer.errors import UserError
from explorer.exchange.network_file import open_network_file
from explorer.networks import catalog
content = open(sys.argv[1], "rb").read()
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[2]), hard))
try:
    open_network_file("a.onnx", content)
    print("opened")
except UserError as error:
    print(error)
"""


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def _many_empty_nodes() -> bytes:
    graph = b"\x0a\x00" * 30_000_000
    return b"\x08\x09\x3a" + _varint(len(graph)) + graph


def _terabytes_by_shape() -> bytes:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]), helper.make_node("Expand", ["x", "wide"], ["w"]),
        helper.make_node("Tile", ["w", "often"], ["y"]),
    ]  # fmt: skip
    big, wide = np.array([10**6, 10**6], np.int64), np.array([10**6, 3, 8, 8], np.int64)
    return file_of(nodes, {"shape": big, "wide": wide, "often": np.array([1, 10**6, 1, 1], np.int64)})


@pytest.mark.parametrize("bomb", [_many_empty_nodes, _terabytes_by_shape])
def test_bombs_stay_within_a_gigabyte(bomb: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(bomb())
    command = [sys.executable, "-c", BOMBS, str(tmp_path / "bomb"), str(ROOM_BYTES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith(("a.onnx", "opened"))


def test_the_reader_agrees_with_the_onnx_package() -> None:
    model = model_of([helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 3], pads=[1, 0, 1, 0])],
                     {"w": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)})  # fmt: skip
    found = onnx_file.read_onnx("a.onnx", model.SerializeToString())
    (node,) = found.nodes
    assert node.attributes == {"strides": [2, 3], "pads": [1, 0, 1, 0]}
    assert np.array_equal(found.tensors["w"].load().numpy(), numpy_helper.to_array(model.graph.initializer[0]))
    assert (found.input, found.input_shape, found.outputs, found.opset) == ("x", (1, 3, 8, 8), ("y",), 20)


def test_a_message_within_its_budget_is_read() -> None:
    with pytest.raises(wire.WireError, match="more than"):
        wire.decode(memoryview(b"\x08\x01" * 10), {1: wire.Tag("n", "int", many=True)}, wire.Budget(9))


@pytest.mark.parametrize("name", ["torchvision:a/../b.onnx", "timm:b.json", "block:b.onnx"])
def test_a_name_that_a_link_can_hold_is_never_a_path(name: str) -> None:
    with pytest.raises(UserError) as caught:
        catalog.find(name)
    assert "cannot be read" not in str(caught.value)


def test_an_upload_is_a_network_under_its_name() -> None:
    network = catalog.network_in_file("mine.onnx", PLAIN)
    assert (network.name, network.input_size) == ("mine.onnx", (3, 8, 8))
    assert network.analysis().params == 108
