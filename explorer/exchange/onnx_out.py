"""A module → an .onnx file, by torch's exporter; it names the modules that operations came from, and no local path."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from explorer.errors import UserError
from explorer.graph.reasons import reason
from explorer.types import InputSize

OPSET = 20  # the first with GELU as one operation; onnxruntime reads it since 1.17
NEEDED = ("onnx", "onnxscript", "onnxruntime")
INSTALL = "pip install 'cnn-explorer[onnx]'"
_KEPT = ("pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy")
_TOLERANCE = 1e-4  # of the largest output


def require_onnx() -> None:
    """Raises UserError with the command that installs what is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {', '.join(missing)}, which is not installed: {INSTALL}.")


def write_onnx(module: nn.Module, path: Path, input_size: InputSize, metadata: Mapping[str, Any]) -> None:
    """Write a module, in evaluation and with its weights, for any number of images, and compare it with onnxruntime.

    metadata: what else the file says of itself, as JSON. Batch norms stay what they are: runtimes fold them when they
    load a file, and a reader finds every layer. Raises UserError.
    """
    require_onnx()
    model = _exported(module, input_size)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    content = model.SerializeToString()
    _compare(module, content, input_size)
    path.write_bytes(content)


def _exported(module: nn.Module, input_size: InputSize) -> Any:
    import onnxscript.optimizer

    example = torch.zeros(2, *input_size, dtype=next(module.parameters()).dtype)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module, (example,), dynamo=True, dynamic_shapes=({0: "batch"},), optimize=False, opset_version=OPSET,
                input_names=["image"], custom_translation_table=_own_translations(), verbose=False,
            )  # fmt: skip
    except Exception as error:
        raise UserError(f"{type(module).__name__} cannot be written as ONNX: {reason(error)}.") from None
    assert program is not None
    onnxscript.optimizer.fold_constants(program.model, should_fold=_may_be_folded)
    onnxscript.optimizer.remove_unused_nodes(program.model)
    return _without_traces(program.model_proto)


def _may_be_folded(node: Any) -> bool | None:
    """Weights stay as the state dict has them: a transposed one would be a new tensor without a name."""
    return False if node.op_type == "Transpose" else None


def _own_translations() -> dict[Any, Any]:
    """Global pooling as one operation: torch's exporter makes a gather of it where maps lie channels last."""
    from onnxscript import opset20 as op  # pyright: ignore[reportMissingImports]

    def pool(x: Any, output_size: Any) -> Any:
        rows, columns = x.shape[2:]
        if tuple(output_size) == (1, 1):
            return op.GlobalAveragePool(x)
        window = [rows // output_size[0], columns // output_size[1]]
        if [rows, columns] != [n * side for n, side in zip(output_size, window, strict=True)]:
            raise ValueError(f"ONNX has no adaptive pool from {rows}x{columns} to {'x'.join(map(str, output_size))}")
        return op.AveragePool(x, kernel_shape=window, strides=window)

    return {torch.ops.aten.adaptive_avg_pool2d.default: pool}


def _without_traces(model: Any) -> Any:
    """The file without what the exporter notes of this machine: stack traces with paths, and its own graph."""
    del model.metadata_props[:]
    graph = model.graph
    for each in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        kept = [entry for entry in each.metadata_props if entry.key in _KEPT]
        del each.metadata_props[:]
        each.metadata_props.extend(kept)
        each.doc_string = ""
    model.producer_name = "cnn-explorer"
    return model


def _compare(module: nn.Module, content: bytes, input_size: InputSize) -> None:
    """Raises UserError where onnxruntime computes something else than the module."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    parameter = next(module.parameters())
    image = torch.randn(3, *input_size, generator=torch.Generator().manual_seed(0), dtype=parameter.dtype)
    found = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        wanted = pytree.tree_leaves(module(image.to(parameter.device)))
    for ours, theirs in zip(wanted, found, strict=True):
        largest, off = float(ours.abs().max()), float((ours.cpu() - torch.from_numpy(theirs)).abs().max())
        if not off <= _TOLERANCE * largest:
            raise UserError(f"The ONNX file differs from the network by {off:.2g}, of outputs up to {largest:.2g}.")


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep the exporter from telling its progress, and from warning of what is no concern here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
