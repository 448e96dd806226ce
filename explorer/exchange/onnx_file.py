"""What an .onnx file says, as plain data: nodes, stored tensors, input, outputs. It may be hostile; nothing is run.

Numbers of the fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.errors import UserError, shown
from explorer.exchange.stored import LONGEST_IN_FILE, MOST_NODES, StoredTensor, content_of
from explorer.exchange.wire import Budget, Message, Tag, WireError, decode

_METADATA = {1: Tag("key", "text"), 2: Tag("value", "text")}
_TENSOR = {
    1: Tag("dim", "int", many=True, most=64), 2: Tag("data_type", "int"), 4: Tag("float_data", "float", many=True),
    5: Tag("int32_data", "int", many=True), 7: Tag("int64_data", "int", many=True), 8: Tag("name", "text"),
    9: Tag("raw_data", "bytes"), 10: Tag("double_data", "double", many=True),
    13: Tag("external_data", "bytes", many=True), 14: Tag("data_location", "int"),
}  # fmt: skip
_ATTRIBUTE = {
    1: Tag("name", "text"), 2: Tag("f", "float"), 3: Tag("i", "int"), 4: Tag("s", "bytes"),
    5: Tag("t", _TENSOR), 6: Tag("g", "bytes"), 7: Tag("floats", "float", many=True),
    8: Tag("ints", "int", many=True), 9: Tag("strings", "bytes", many=True), 20: Tag("type", "int"),
}  # fmt: skip
_NODE = {
    1: Tag("input", "text", many=True), 2: Tag("output", "text", many=True), 3: Tag("name", "text"),
    4: Tag("op_type", "text"), 5: Tag("attribute", _ATTRIBUTE, many=True), 7: Tag("domain", "text"),
    9: Tag("metadata", _METADATA, many=True),
}  # fmt: skip
_DIMENSION = {1: Tag("value", "int"), 2: Tag("param", "text")}
_TENSOR_TYPE = {1: Tag("elem_type", "int"), 2: Tag("shape", {1: Tag("dim", _DIMENSION, many=True)})}
_VALUE = {1: Tag("name", "text"), 2: Tag("type", {1: Tag("tensor", _TENSOR_TYPE)})}
_GRAPH = {
    1: Tag("node", _NODE, many=True, most=MOST_NODES), 5: Tag("initializer", _TENSOR, many=True, most=MOST_NODES),
    11: Tag("input", _VALUE, many=True), 12: Tag("output", _VALUE, many=True),
    15: Tag("sparse", "bytes", many=True),
}  # fmt: skip
_OPSET = {1: Tag("domain", "text"), 2: Tag("version", "int")}
_MODEL = {
    1: Tag("ir_version", "int"), 2: Tag("producer", "text"), 7: Tag("graph", _GRAPH),
    8: Tag("opset", _OPSET, many=True), 14: Tag("metadata", _METADATA, many=True),
    25: Tag("functions", "bytes", many=True),
}  # fmt: skip

MOST_ELSEWHERE = 2**36  # values of a tensor whose shape alone the file has: 256 GB

# Of TensorProto.DataType: torch's type, and numpy's of the stored bytes.
STORED_TYPES: dict[int, tuple[torch.dtype, str]] = {
    1: (torch.float32, "<f4"), 2: (torch.uint8, "u1"), 3: (torch.int8, "i1"), 5: (torch.int16, "<i2"),
    6: (torch.int32, "<i4"), 7: (torch.int64, "<i8"), 9: (torch.bool, "?"), 10: (torch.float16, "<f2"),
    11: (torch.float64, "<f8"), 16: (torch.bfloat16, "<i2"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operation: its type, the names of its inputs ("" where one is left out) and outputs, its attributes, and the
    modules that enclosed it where the file was made, outermost first, as (path, class)."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    stack: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A parsed file. input_shape: of [N, C, H, W], None where a side is left open; network: the class it came
    from. digest: of the content."""

    name: str
    nodes: tuple[OnnxNode, ...]
    tensors: Mapping[str, StoredTensor]
    input: str
    input_shape: tuple[int | None, ...]
    outputs: tuple[str, ...]
    opset: int
    network: str
    metadata: Mapping[str, str]
    digest: str


def read_onnx(name: str, content: bytes | Path) -> OnnxModel:
    """Parse a file, uploaded (bytes) or on disk. Raises UserError, one sentence that names it."""
    data = content_of(name, content)
    try:
        model = decode(memoryview(data), _MODEL, Budget())
        return _model(name, model, hashlib.sha256(data).hexdigest())
    except WireError as error:
        raise UserError(f"{name} {error}.") from None


def _model(name: str, model: Message, digest: str) -> OnnxModel:
    graph = model.get("graph")
    if not graph or not graph["node"] or "ir_version" not in model:
        raise WireError("is no ONNX file, or one without a network")
    if model["functions"] or graph["sparse"]:
        what = "functions of its own" if model["functions"] else "sparse weights"
        raise WireError(f"has {what}, which are not read; export it without")
    nodes = tuple(_node(each) for each in graph["node"])
    tensors = {tensor.name: tensor for tensor in map(_tensor, graph["initializer"])}
    (image, shape) = _input(graph, tensors)
    version = {each.get("domain", ""): each.get("version", 1) for each in model["opset"]}
    metadata = {each.get("key", ""): each.get("value", "") for each in model["metadata"]}
    root = next((node.stack[0][1] for node in nodes if node.stack), "Network")
    return OnnxModel(
        name, nodes, tensors, image, shape, tuple(_text(each, "name") for each in graph["output"]),
        version.get("", version.get("ai.onnx", 1)), root, metadata, digest,
    )  # fmt: skip


def _input(graph: Message, tensors: Mapping[str, StoredTensor]) -> tuple[str, tuple[int | None, ...]]:
    inputs = [each for each in graph["input"] if each.get("name") not in tensors]
    if len(inputs) != 1:
        names = ", ".join(shown(each.get("name", "")) for each in inputs[:3])
        raise WireError(f"takes {len(inputs)} inputs ({names}): networks of one image can be opened")
    described = inputs[0].get("type", {}).get("tensor", {})
    sides = [_side(each) for each in described.get("shape", {}).get("dim", [])]
    if len(sides) != 4:
        raise WireError(f"takes an input of {len(sides)} dimensions: networks of images [N, C, H, W] can be opened")
    return _text(inputs[0], "name"), tuple(sides)


def _side(dimension: Message) -> int | None:
    value = dimension.get("value")
    if value is not None and not 0 < value <= 100_000:
        raise WireError(f"takes an input with a side of {value}, which is none")
    return value


def _text(message: Message, key: str) -> str:
    found: str = message.get(key, "")
    if len(found) > LONGEST_IN_FILE:
        raise WireError(f"holds a name of {len(found):,} characters, {shown(found)}")
    return found


# -- tensors ----------------------------------------------------------------------------------------------------------


def _tensor(message: Message) -> StoredTensor:
    name, shape = _text(message, "name"), tuple(message["dim"])
    dtype, stored = STORED_TYPES.get(message.get("data_type", 0), (None, ""))
    if dtype is None:
        raise WireError(f"holds {shown(name)} in a type that is not read (number {message.get('data_type', 0)})")
    size, count = "×".join(map(str, shape[:8])) or "a single value", math.prod(shape)
    if message["external_data"] or message.get("data_location"):
        if min(shape, default=1) < 0 or count > MOST_ELSEWHERE:
            raise WireError(f"is damaged: {shown(name)} should be {shown(size)}")
        return StoredTensor(name, shape, dtype, None)  # where its values lie is not looked at
    values = _values(message, dtype, stored)
    if min(shape, default=1) < 0 or count != len(values):
        raise WireError(f"is damaged: {shown(name)} should be {shown(size)} and has {len(values):,} values")
    return StoredTensor(name, shape, dtype, values)


def _values(message: Message, dtype: torch.dtype, stored: str) -> np.ndarray:
    raw = message.get("raw_data")
    if raw is not None:
        if len(raw) % np.dtype(stored).itemsize:
            raise WireError("is damaged: a tensor in it ends within a value")
        return np.frombuffer(raw, stored)
    if message["float_data"]:
        return np.array(message["float_data"], "<f4").astype(stored)
    if message["double_data"]:
        return np.array(message["double_data"], "<f8").astype(stored)
    whole = np.array(message["int64_data"] or message["int32_data"], "<i8")
    if dtype in (torch.float16, torch.bfloat16):  # their bits
        return whole.astype("<u2").view(stored)
    return whole.astype(stored)


# -- nodes ------------------------------------------------------------------------------------------------------------


def _node(message: Message) -> OnnxNode:
    op, domain = _text(message, "op_type"), _text(message, "domain")
    attributes = {_text(each, "name"): _attribute(each) for each in message["attribute"]}
    known = {each.get("key", ""): each.get("value", "") for each in message["metadata"]}
    name = _text(message, "name")
    for each in (*message["input"], *message["output"]):
        if len(each) > LONGEST_IN_FILE:
            raise WireError(f"holds a name of {len(each):,} characters, {shown(each)}")
    return OnnxNode(
        name, op if domain in ("", "ai.onnx") else f"{domain}.{op}", tuple(message["input"]), tuple(message["output"]),
        attributes, _recorded_stack(known) or _stack_of_path(name),
    )  # fmt: skip


_NUMBERED: dict[int, str] = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}


def _attribute(message: Message) -> Any:
    key = _NUMBERED.get(message.get("type", 0), "")
    value = message.get(key, 0)
    match key:
        case "s":
            return str(value, "utf-8", "replace") if isinstance(value, memoryview) else ""
        case "t" if isinstance(value, dict):
            return replace(_tensor(value), is_weight=False)
        case "f" | "i" | "floats" | "ints":
            return value
    return None  # a graph within the graph, or what no operation here reads


_LISTED = re.compile(r"\[(?:'[^'\\]{0,500}'(?:, )?)*\]")
_QUOTED = re.compile(r"'([^'\\]*)'")


def _recorded_stack(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The modules around an operation, as torch's exporter notes them; the last entry is the operation itself."""
    lists = [metadata.get(f"pkg.torch.onnx.{key}", "") for key in ("name_scopes", "class_hierarchy")]
    if not all(len(text) < 20_000 and _LISTED.fullmatch(text) for text in lists):
        return ()
    paths, classes = (_QUOTED.findall(text)[:-1] for text in lists)
    pairs = list(zip(paths, classes, strict=False))
    within = all(b[0].startswith(f"{a[0]}." if a[0] else "") for a, b in zip(pairs, pairs[1:], strict=False))
    return (
        tuple((path, kind.rpartition(".")[2]) for path, kind in pairs) if pairs and not pairs[0][0] and within else ()
    )


def _stack_of_path(name: str) -> tuple[tuple[str, str], ...]:
    """The same from a name like "/layer1/layer1.0/conv1/Conv", as older exporters give, which know no classes."""
    if not name.startswith("/"):
        return ()
    stack, path = [("", "Network")], ""
    for part in name.split("/")[1:-1]:
        last = path.rpartition(".")[2] if path else ""
        path = (
            f"{path}.{part.removeprefix(f'{last}.')}"
            if path and part.startswith(f"{last}.")
            else part
            if not path
            else f"{path}.{part}"
        )
        stack.append((path, part.rpartition(".")[2]))
    return tuple(stack)
