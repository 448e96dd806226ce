"""The layer graph of a traced network: plain data that every view and analysis reads. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from explorer.types import Pair, Shape, is_sequence


@dataclass(frozen=True, slots=True)
class Window:
    """What one output position reads of its input, per axis (height, width); `padding` is that before the first."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Pair = (0, 0)


@dataclass(frozen=True, slots=True)
class Buffer:
    """The storage that holds an output; layers that only view their input, or write into it, share its id."""

    id: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation of the network: a leaf module or a functional call.

    id: qualified path, with `#2`, `#3` … for further calls of the same module or function.
    kind: canonical name of the operation ("conv", "relu", "add" …), "unknown" where no table has it.
    op: what the code called ("Conv2d", "torch.cat").
    scope: qualified path of the module that encloses it, "" for the network itself.
    inputs, input_shapes: the layers whose outputs it reads, in order of use, and their shapes.
    outputs: one shape per output tensor; buffers: where they are held.
    parameters: qualified names of the parameters it uses; param_count: their elements.
    attributes: arguments of the operation that matter for its meaning (dim, groups, output_size, …).
    """

    id: str
    kind: str
    op: str
    scope: str
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    buffers: tuple[Buffer, ...] = ()
    window: Window | None = None
    parameters: tuple[str, ...] = ()
    param_count: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def numbers(self, name: str) -> tuple[int, ...]:
        """An attribute that may be one number or several; empty where it is not given."""
        value = self.attributes.get(name)
        if value is None:
            return ()
        return tuple(value) if is_sequence(value) else (value,)

    @property
    def operands(self) -> tuple[int | None, ...]:
        """Where each operand stands in `inputs`, None for weights alone; empty where the first input is the operand."""
        return self.attributes.get("operands", ())

    @property
    def joined(self) -> tuple[tuple[int | None, int], ...]:
        """What a concat with weights joins, in order: where it stands in `inputs` (None: weights), and its size."""
        return self.attributes.get("joined", ())

    @property
    def output_shape(self) -> Shape:
        """Shape of the (first) output."""
        return self.outputs[0]

    @property
    def is_map(self) -> bool:
        """Whether the output has the form [N, C, H, W]."""
        return len(self.outputs[0]) == 4


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a network stopped that cannot run: the module, and torch's reason."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """Layers in topological order.

    outputs: the layers whose outputs the network returns; scopes: path of each enclosing module → its class name;
    parameter_sizes: elements of each parameter that a layer uses; weight_products: what multiplies weights alone, as a
    kernel that is made of others: no layers, as they do not depend on the image, with ids of their own.
    """

    layers: tuple[Layer, ...]
    outputs: tuple[str, ...] = ()
    scopes: Mapping[str, str] = field(default_factory=dict[str, str])
    parameter_sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    failure: Failure | None = None
    weight_products: tuple[Layer, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Layer]:
        """Layers by id."""
        return {layer.id: layer for layer in self.layers}

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """For each layer the ids of the layers that read its output."""
        found: dict[str, list[str]] = {layer.id: [] for layer in self.layers}
        for layer in self.layers:
            for source in dict.fromkeys(layer.inputs):
                found[source].append(layer.id)
        return {name: tuple(readers) for name, readers in found.items()}

    def __getitem__(self, layer_id: str) -> Layer:
        return self.by_id[layer_id]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __contains__(self, layer_id: object) -> bool:
        return layer_id in self.by_id
