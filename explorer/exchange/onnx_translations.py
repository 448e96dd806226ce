"""Operations that torch's exporter to ONNX writes in many steps, or not at all, and that ONNX has as one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class KeptWhole(TorchFunctionMode):
    """Where it is entered, a local response norm stays one operation, which `translations` knows; torch makes a pool
    over a fifth dimension of it. Not where onnxruntime has none: over an even number of channels, or of no maps."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is F.local_response_norm and _is_known(*args, **named):
            return _local_response_norm(*args, **named)
        return func(*args, **named)


def _is_known(input: Tensor, size: int, *_: float, **__: float) -> bool:
    return input.dim() == 4 and size % 2 == 1


@torch.library.custom_op("cnn_explorer::local_response_norm", mutates_args=())
def _local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    with torch._C.DisableTorchFunction():
        return F.local_response_norm(input, size, alpha, beta, k)


@_local_response_norm.register_fake
def _(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    del size, alpha, beta, k
    return torch.empty_like(input)


def translations() -> dict[Any, Any]:
    """What torch's exporter is told of operations, by the operation. Needs onnxscript."""
    from onnxscript import opset20 as op  # pyright: ignore[reportMissingImports]

    def pool(x: Any, output_size: Any) -> Any:
        """Global pooling as one operation: torch's exporter makes a gather of it where maps lie channels last."""
        rows, columns = x.shape[2:]
        if tuple(output_size) == (1, 1):
            return op.GlobalAveragePool(x)
        window = [rows // output_size[0], columns // output_size[1]]
        if [rows, columns] != [n * side for n, side in zip(output_size, window, strict=True)]:
            raise ValueError(f"ONNX has no adaptive pool from {rows}x{columns} to {'x'.join(map(str, output_size))}")
        return op.AveragePool(x, kernel_shape=window, strides=window)

    def norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
        return op.LRN(x, alpha=alpha, beta=beta, bias=k, size=size)

    return {
        torch.ops.aten.adaptive_avg_pool2d.default: pool,
        torch.ops.cnn_explorer.local_response_norm.default: norm,
    }
