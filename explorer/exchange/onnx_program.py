"""A parsed .onnx file → a module of torch operations: everything that works on a module then works on the file.

No code of the file is run: its operations are looked up in our table (`onnx_ops`), its weights are copied out of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from explorer.errors import UserError, shown
from explorer.exchange import onnx_layout, onnx_ops, onnx_sizes, onnx_windows
from explorer.exchange.onnx_call import TRANSLATIONS, OnnxCall, Sizes, Value, meta
from explorer.exchange.onnx_file import OnnxModel, OnnxNode, StoredTensor
from explorer.graph.reasons import reason
from explorer.graph.replayed import Replayed

DEFAULT_SIDE = 224  # px, of an input whose size the file leaves open
MOST_SIZES = 4096  # entries of a list of whole numbers that is computed here, not on tensors
_DEEPEST = 30  # modules around a weight
_TABLES = (onnx_ops, onnx_windows, onnx_layout)  # imported for what they enter in TRANSLATIONS
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


class _Builder:
    """The program so far: its operations, and what each name of the file stands for."""

    def __init__(self, model: OnnxModel, device: str) -> None:
        self.model, self.device, self.opset = model, device, model.opset
        self.graph = fx.Graph()
        batch = model.input_shape[0]
        if batch not in (None, 1):
            raise UserError(
                f"{model.name} takes {batch} pictures at a time and no other number; export it for one or any."
            )
        kind = model.network if model.network.isidentifier() else "Network"
        self.root = type(kind, (Replayed,), {})(self.graph, batch)
        self.values: dict[str, Value] = dict(model.tensors)
        self.uses = Counter(name for node in model.nodes for name in node.inputs) + Counter(model.outputs)
        self._stack: dict[str, tuple[str, str]] = {}
        self._node = model.nodes[0]
        self._held: dict[str, fx.Node] = {}

    def built(self) -> Replayed:
        image = self.graph.placeholder("x")
        image.meta["val"] = torch.empty(self.model.input_shape[0] or 2, *input_size(self.model), device="meta")
        self.values[self.model.input] = image
        for node in self.model.nodes:
            self._translate(node)
        outputs = [self.as_tensor(self._value(name)) for name in self.model.outputs]
        self.graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
        self.graph.eliminate_dead_code()
        return self.root.eval()

    def _value(self, name: str) -> Value:
        if name not in self.values:
            raise UserError(f"{self.model.name} is damaged: it reads {shown(name)}, which nothing before makes.")
        return self.values[name]

    def _translate(self, node: OnnxNode) -> None:
        self._node = node
        values = [self._value(name) if name else None for name in node.inputs]
        self._stack = {path: (path, kind) for path, kind in _stack(node, values)}
        found = _translated(OnnxCall(node, values, self))
        results = found if isinstance(found, list) else [found]
        if len([name for name in node.outputs if self.uses[name]]) > len(results):
            raise self.refusal(node, f"has {len(node.outputs)} outputs, of which {len(results)} can be made")
        self.values.update(zip(node.outputs, results, strict=False))

    def refusal(self, node: OnnxNode, what: str) -> UserError:
        """The sentence that refuses a file because of one of its operations."""
        named = f" ({shown(node.name)})" if node.name else ""
        return UserError(f"{self.model.name}: its operation {shown(node.op)}{named} {what}.")

    def emit(self, target: Callable[..., Any] | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> fx.Node:
        """Add an operation, a function or a method by name, and run it on meta."""
        kind = "call_method" if isinstance(target, str) else "call_function"
        node = self.graph.create_node(kind, target, tuple(args), dict(kwargs))  # pyright: ignore[reportArgumentType]
        node.meta["nn_module_stack"] = self._stack
        given, named = fx.map_arg((tuple(args), dict(kwargs)), meta)
        try:
            with torch.device("meta"), torch.no_grad():
                call = getattr(Tensor, target) if isinstance(target, str) else target
                node.meta["val"] = call(*given, **named)
        except Exception as error:
            raise self.refusal(self._node, f"does not fit its input: {reason(error)}") from None
        return node

    # -- values ---------------------------------------------------------------------------------------------------

    def as_sizes(self, value: Value) -> Sizes | None:
        """Whole numbers that are known, or found out by the program; None for what is no short list of them."""
        if isinstance(value, Sizes):
            return value
        if not isinstance(value, StoredTensor) or value.dtype not in _WHOLE or len(value.shape) > 1:
            return None
        if value.values.size > MOST_SIZES:
            return None
        return Sizes(tuple(int(each) for each in value.values), scalar=not value.shape)

    def as_tensor(self, value: Value, is_trained: bool = True) -> fx.Node:
        if isinstance(value, fx.Node):
            return value
        if isinstance(value, StoredTensor):
            return self._attribute(value, is_trained)
        if not all(isinstance(each, int) for each in value.values):
            raise self.refusal(self._node, "reads a shape as a tensor, which is not followed")
        numbers = torch.tensor(value.values)
        return self._hold("sizes", numbers[0] if value.scalar else numbers)

    def _attribute(self, stored: StoredTensor, is_trained: bool) -> fx.Node:
        if stored.name and stored.name in self._held:
            return self._held[stored.name]
        found = stored.load() if self.device != "meta" else torch.empty(stored.shape, dtype=stored.dtype, device="meta")
        node = self._hold(stored.name, found.to(self.device), is_trained)
        if stored.name:
            self._held[stored.name] = node
        return node

    def _hold(self, wanted: str, tensor: Tensor, is_trained: bool = True) -> fx.Node:
        """Keep a tensor in the module under its own name, or where that cannot be under another."""
        owner, name = self._place(wanted)
        if tensor.is_floating_point() and is_trained:
            owner.register_parameter(name, nn.Parameter(tensor))
        else:
            owner.register_buffer(name, tensor)
        path = next(path for path, part in self.root.named_modules() if part is owner)
        node = self.graph.get_attr(f"{path}.{name}" if path else name)
        node.meta["val"] = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        return node

    def _place(self, wanted: str) -> tuple[nn.Module, str]:
        *path, name = wanted.split(".")
        if all(part and part.isprintable() for part in (*path, name)) and len(path) <= _DEEPEST:
            owner: Any = self.root
            for part in path:
                inside = owner._modules.get(part)
                if inside is None:
                    if hasattr(owner, part):
                        break
                    inside = nn.Module()
                    owner.add_module(part, inside)
                owner = inside
            else:
                if not hasattr(owner, name):
                    return owner, name
        return self.root, f"tensor_{len(list(self.root.parameters())) + len(list(self.root.buffers()))}"


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
