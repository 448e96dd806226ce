"""Small .onnx files, made by the onnx package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20


def model_of(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray] | None = None,
    shape: Sequence[Any] = (1, 3, 8, 8),
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A file that reads the image "x" and returns "y"."""
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def file_of(nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray] | None = None, **options: Any) -> bytes:
    """The same as its content."""
    return model_of(nodes, constants, **options).SerializeToString()


def plain_file() -> bytes:
    """A convolution and a ReLU."""
    weight = np.linspace(-1, 1, 108, dtype=np.float32).reshape(4, 3, 3, 3)
    nodes = [helper.make_node("Conv", ["x", "conv.weight"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    return file_of(nodes, {"conv.weight": weight})
