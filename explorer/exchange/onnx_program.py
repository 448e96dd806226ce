"""A parsed .onnx file → a module of torch operations: everything that works on a module then works on the file.

No code of the file is run: its operations are looked up in our table (`onnx_ops`), its weights are copied out of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import fx

from explorer.errors import UserError, shown
from explorer.exchange import onnx_layout, onnx_ops, onnx_sizes, onnx_windows
from explorer.exchange.onnx_call import TRANSLATIONS, OnnxCall, Sizes, Value
from explorer.exchange.onnx_file import OnnxModel, OnnxNode
from explorer.exchange.program_builder import DEFAULT_SIDE, ProgramBuilder
from explorer.exchange.stored import StoredTensor
from explorer.graph.replayed import Replayed

MOST_SIZES = 4096  # entries of a list of whole numbers that is computed here, not on tensors
_DEEPEST = 30  # modules around an operation
_TABLES = (onnx_ops, onnx_windows, onnx_layout)  # imported for what they enter in TRANSLATIONS
_OWN = {  # of these operations the inputs that are a layer's own, which some exporters write as constants
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "PRelu": (1,), "BatchNormalization": (1, 2),
}  # fmt: skip
_WHOLE = (torch.int64, torch.int32)


def input_size(model: OnnxModel) -> tuple[int, int, int]:
    """(channels, height, width) of the input; sides that the file leaves open become 224 px."""
    _, channels, height, width = model.input_shape
    return channels or 3, height or DEFAULT_SIDE, width or DEFAULT_SIDE


def network_of(model: OnnxModel, device: str = "cpu") -> Replayed:
    """The module that does what the file says, with its weights on a device ("meta" allocates nothing).

    Raises UserError that names the file, and the operation that is not known or does not fit.
    """
    return _Builder(model, device).built()


class _Builder(ProgramBuilder):
    """The program so far: its operations, and what each name of the file stands for."""

    def __init__(self, model: OnnxModel, device: str) -> None:
        super().__init__(model.name, model.network, model.input_shape[0], device)
        self.model, self.opset = model, model.opset
        self.values: dict[str, Value] = dict(model.tensors)
        self.uses = Counter(name for node in model.nodes for name in node.inputs) + Counter(model.outputs)
        self._node = model.nodes[0]

    def built(self) -> Replayed:
        self.values[self.model.input] = self.image(input_size(self.model))
        for node in self.model.nodes:
            self._translate(node)
        return self.finished([self.as_tensor(self._value(name)) for name in self.model.outputs])

    def _value(self, name: str) -> Value:
        if name not in self.values:
            raise UserError(f"{self.model.name} is damaged: it reads {shown(name)}, which nothing before makes.")
        return self.values[name]

    def _translate(self, node: OnnxNode) -> None:
        self._node = node
        for name in (node.inputs[place] for place in _OWN.get(node.op, ()) if place < len(node.inputs)):
            if isinstance(value := self.values.get(name), StoredTensor) and not value.is_weight:
                self.values[name] = replace(value, is_weight=True)
        values = [self._value(name) if name else None for name in node.inputs]
        self.stack = {path: (path, kind) for path, kind in _stack(node, values)}
        found = _translated(OnnxCall(node, values, self))
        results = found if isinstance(found, list) else [found]
        if len([name for name in node.outputs if self.uses[name]]) > len(results):
            raise self.refusal(node, f"has {len(node.outputs)} outputs, of which {len(results)} can be made")
        self.values.update(zip(node.outputs, results, strict=False))

    def refusal(self, node: OnnxNode, what: str) -> UserError:
        """The sentence that refuses a file because of one of its operations."""
        named = f" ({shown(node.name)})" if node.name else ""
        return UserError(f"{self.model.name}: its operation {shown(node.op)}{named} {what}.")

    def misfit(self, why: str) -> UserError:
        return self.refusal(self._node, f"does not fit its input: {why}")

    def as_sizes(self, value: Value) -> Sizes | None:
        """Whole numbers that are known, or found out by the program; None for what is no short list of them."""
        if isinstance(value, Sizes):
            return value
        if not isinstance(value, StoredTensor) or value.dtype not in _WHOLE or len(value.shape) > 1:
            return None
        if value.values is None or value.values.size > MOST_SIZES:
            return None
        return Sizes(tuple(int(each) for each in value.values), scalar=not value.shape)

    def as_tensor(self, value: Value, is_trained: bool = True) -> fx.Node:
        if isinstance(value, fx.Node):
            return value
        if isinstance(value, StoredTensor):
            return self.attribute(value, is_trained)
        if not all(isinstance(each, int) for each in value.values):
            raise self.refusal(self._node, "reads a shape as a tensor, which is not followed")
        numbers = torch.tensor(value.values)
        return self.hold("sizes", numbers[0] if value.scalar else numbers)


def _stack(node: OnnxNode, values: Sequence[Value | None]) -> tuple[tuple[str, str], ...]:
    """The modules around an operation: those recorded, of which the innermost is the one that holds its weights (a
    batch norm that was folded into a convolution leaves its own name to it)."""
    held = next((v.name for v in values[1:] if isinstance(v, StoredTensor) and "." in v.name), "")
    owner = held.rpartition(".")[0]
    if not owner or (node.stack and node.stack[-1][0] == owner):
        return node.stack
    parent = owner.rpartition(".")[0]
    if node.stack and node.stack[-1][0].rpartition(".")[0] == parent:
        return (*node.stack[:-1], (owner, node.op))
    if len(node.stack) > 1:
        return node.stack
    parts = owner.split(".")[:_DEEPEST]
    return tuple((".".join(parts[: n + 1]), "") for n in range(len(parts)))


def _translated(call: OnnxCall) -> Value | list[Value]:
    """The values that an operation makes, with torch's operations for them added."""
    if (sizes := onnx_sizes.computed(call)) is not None:
        return sizes
    if call.node.op not in TRANSLATIONS:
        call.refuse("is not known here")
    return TRANSLATIONS[call.node.op](call)
