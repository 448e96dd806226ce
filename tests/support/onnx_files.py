"""Small .onnx files, made by the onnx package."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.onnx._internal.exporter import _registration

from explorer.exchange import onnx_out
from explorer.types import InputSize

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


def structure_file(module: nn.Module, size: InputSize) -> bytes:
    """What an export says of a module on meta: the values of its weights lie in another file, which there is not."""
    model = onnx_out.onnx_model(module, size)
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if isinstance(raw := getattr(tensor, "raw", None), torch.Tensor) and raw.is_meta:
            value.const_value = onnx_ir.ExternalTensor(
                "weights", None, None, tensor.dtype, shape=tensor.shape, name=tensor.name
            )
    return onnx_ir.to_proto(model).SerializeToString()


@contextmanager
def table_made_once() -> Iterator[None]:
    """torch makes its table of translations for each export, which is a fifth of the time of a small network's."""
    table = _registration.ONNXRegistry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "from_torchlib", staticmethod(functools.cache(table.from_torchlib)))
        yield
