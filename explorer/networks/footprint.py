"""What a whole network takes: parameters, multiply-accumulates, memory at inference, and its size on disk."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from torch import Tensor, nn

import models
from explorer.analysis import cost
from explorer.graph.trace import trace
from models.errors import SpecError
from models.spec import NetSpec

STORED = ("float32", "float16", "int8")
SCALE_BYTES = 4  # of one float32


class Footprint(NamedTuple):
    """Figures of a network at batch 1; peak_bytes are of activations in float32, the others of the stored weights.

    float32_bytes, float16_bytes: all parameters and buffers, those that are no floats as they are. int8_bytes: every
    parameter of two or more axes (of convolutions and linear layers) as one byte an element and one float32 scale per
    output channel, symmetric, so without zero points; biases, norms and buffers stay in float32.
    """

    params: int
    macs: int
    peak_bytes: int
    float32_bytes: int
    float16_bytes: int
    int8_bytes: int


def footprint(spec: NetSpec) -> Footprint:
    """The figures of a Spec's network; nothing is allocated. Raises SpecError, TraceError.

    They are those of an analysis, without the receptive fields, which would take longer than all the rest.
    """
    return _footprint(spec)  # pyright: ignore[reportArgumentType]  (frozen, so hashable)


@lru_cache(maxsize=1024)
def _footprint(spec: NetSpec) -> Footprint:
    module = models.build(spec, device="meta", unchecked=True)
    graph = trace(module, (spec.in_channels, spec.image_size, spec.image_size), partial=True).graph
    if graph.failure is not None:
        models.check(spec)  # pyright: ignore[reportArgumentType]
        raise SpecError(f"{type(spec).__name__} cannot be run: {graph.failure.reason}.")
    macs = sum(found.macs or 0 for found in cost.costs(graph).values())
    stored = tuple(stored_bytes(module, kind) for kind in STORED)
    return Footprint(sum(p.numel() for p in module.parameters()), macs, cost.peak_bytes(graph), *stored)


def stored_bytes(module: nn.Module, kind: str) -> int:
    """Bytes of a module's parameters and buffers on disk as "float32", "float16" or "int8" (`Footprint` defines it)."""
    weights = {name for name, parameter in module.named_parameters() if parameter.dim() > 1}
    entries = [(name, value) for name, value in module.state_dict().items() if isinstance(value, Tensor)]
    return sum(_entry_bytes(value, kind, name in weights) for name, value in entries)


def _entry_bytes(value: Tensor, kind: str, is_weight: bool) -> int:
    if kind == "int8" and is_weight:
        return prod(value.shape) + SCALE_BYTES * value.shape[0]
    if kind == "float16" and value.is_floating_point():
        return 2 * value.numel()
    return value.numel() * value.element_size()
