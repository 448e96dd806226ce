"""A module → an .onnx file, by torch's exporter; it names the modules that operations came from, and no local path."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Collection, Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from explorer.errors import UserError
from explorer.exchange.onnx_translations import KeptWhole, translations
from explorer.exchange.stored import MOST_FILE_BYTES
from explorer.graph.reasons import reason
from explorer.types import InputSize

OPSET = 20  # the first with GELU as one operation; onnxruntime reads it since 1.17
NEEDED = ("onnx", "onnxscript", "onnxruntime")
INSTALL = "pip install 'cnn-explorer[onnx]'"
_KEPT = ("pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy")
_ROOM_BYTES = 16 * 1024**2  # beside the weights, of the file
_TOLERANCE = 1e-4  # of the largest output


def require_onnx() -> None:
    """Raises UserError with the command that installs what is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {', '.join(missing)}, which is not installed: {INSTALL}.")


def write_onnx(module: nn.Module, path: Path, input_size: InputSize, metadata: Mapping[str, Any]) -> None:
    """Write a module, in evaluation and with its weights, for any number of images, and compare it with onnxruntime.

    metadata: what else the file says of itself, as JSON. Raises UserError.
    """
    require_onnx()
    import onnx_ir  # pyright: ignore[reportMissingImports]

    _refuse_too_large(module)
    model = onnx_model(module, input_size)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    model.metadata_props.update(texts)
    onnx_ir.save(model, path)
    del model
    _compare(module, path, input_size)


def _refuse_too_large(module: nn.Module) -> None:
    size_bytes = sum(value.nbytes for value in module.state_dict().values())
    if size_bytes > MOST_FILE_BYTES - _ROOM_BYTES:
        raise UserError(
            f"{type(module).__name__} has {size_bytes:,} bytes of weights, and an ONNX file has room for "
            f"{MOST_FILE_BYTES - _ROOM_BYTES:,}; write it as .pt2 or as Python with safetensors."
        )


def onnx_model(module: nn.Module, input_size: InputSize) -> Any:
    """A module, in evaluation, as an `onnx_ir.Model` that reads any number of images; also one on meta, of which the
    file has shapes alone.

    Batch norms stay what they are: runtimes fold them when they load a file, and a reader finds every layer. Raises
    UserError.
    """
    import onnxscript.optimizer

    weight = next(module.parameters())
    example = torch.zeros(2, *input_size, dtype=weight.dtype, device="meta" if weight.is_meta else "cpu")
    try:
        with _quiet(), torch.no_grad(), KeptWhole():
            program = torch.onnx.export(
                module, (example,), dynamo=True, dynamic_shapes=({0: "batch"},), optimize=False, opset_version=OPSET,
                input_names=["image"], custom_translation_table=translations(), verbose=False,
            )  # fmt: skip
    except Exception as error:
        why = reason(error.__cause__ or error)  # the exporter's own error tells how to report it
        raise UserError(f"{type(module).__name__} cannot be written as ONNX: {why}.") from None
    assert program is not None
    named = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    weights = {name for name, _ in named}

    def may_be_folded(node: Any) -> bool | None:
        """Weights stay as the state dict has them: one that is changed would be a new tensor without a name."""
        return False if any(value is not None and value.name in weights for value in node.inputs) else None

    onnxscript.optimizer.fold_constants(program.model, should_fold=may_be_folded)
    onnxscript.optimizer.remove_unused_nodes(program.model)
    _keep_constants_apart(program.model, weights)
    return _without_traces(program.model)


def _keep_constants_apart(model: Any, weights: Collection[str]) -> None:
    """Tensors that are no weights of the module become operations, so that the file's weights are the module's."""
    import onnx_ir  # pyright: ignore[reportMissingImports]

    graph = model.graph
    for name, value in [*graph.initializers.items()]:
        if name not in weights:
            constant = onnx_ir.node("Constant", [], {"value": value.const_value})
            graph.insert_before(graph[0], constant)
            value.replace_all_uses_with(constant.outputs[0], replace_graph_outputs=True)
            del graph.initializers[name]
            constant.outputs[0].name = name


def _without_traces(model: Any) -> Any:
    """The model without what the exporter notes of this machine: stack traces with paths, and its own graph."""
    graph, nodes = model.graph, list(model.graph.all_nodes())
    values = [*graph.inputs, *graph.initializers.values(), *(value for node in nodes for value in node.outputs)]
    tensors = [value.const_value for value in graph.initializers.values()]
    for each in (model, graph, *nodes, *values, *tensors):
        for key in [key for key in each.metadata_props if key not in _KEPT]:
            del each.metadata_props[key]
        each.doc_string = None
    model.producer_name = "cnn-explorer"
    return model


def _compare(module: nn.Module, path: Path, input_size: InputSize) -> None:
    """Raises UserError where onnxruntime computes something else than the module, or nothing."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    parameter = next(module.parameters())
    image = torch.randn(3, *input_size, generator=torch.Generator().manual_seed(0), dtype=parameter.dtype)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        found = session.run(None, {"image": image.numpy()})
    except Exception as error:
        why = reason(error).rstrip(".")
        raise UserError(f"onnxruntime cannot run what was written of {type(module).__name__}: {why}.") from None
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
