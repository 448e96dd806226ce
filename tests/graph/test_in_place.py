"""Which programs write into what they are given, against what torch itself is seen to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import models
from explorer.graph.in_place import may_write
from explorer.graph.trace import trace
from tests.support.torchvisions import torchvisions


class Writes(TorchDispatchMode):
    """Counts the operations that change an operand, by torch's own schemas."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.is_mutable and func is not torch.ops.aten.as_strided_.default  # which moves nothing
        return func(*args, **(kwargs or {}))


def writes(module: nn.Module, size: int) -> bool:
    with Writes() as seen, torch.no_grad():
        module(torch.rand(1, 3, size, size, device=next(iter(module.parameters()), torch.empty(0)).device))
    return seen.count > 0


@pytest.mark.parametrize("name", [name for name in models.presets() if models.preset(name).compact])
def test_no_compact_preset_writes(name: str) -> None:
    module = models.build(name, device="meta")
    program = trace(module, (3, 64, 64))
    assert not may_write(program.module, program.program)
    assert not writes(module, 64)


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "mobilenet_v3_small", "squeezenet1_1"])
def test_torchvisions_networks_write(name: str) -> None:
    module = torchvisions(name)
    program = trace(module, (3, 64, 64))
    assert may_write(program.module, program.program)
    assert writes(module, 64)


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x + 1)


def set_item(x: Tensor) -> Tensor:
    x[:, 0] = 1
    return x


@pytest.mark.parametrize(
    "function",
    [
        F.relu_, torch.relu_, Tensor.relu_, set_item, lambda x: F.relu(x, inplace=True), lambda x: F.relu(x, True),
        lambda x: F.hardtanh(x, -1, 1, True), lambda x: x.add_(1), lambda x: torch.add(x, 1, out=x),
        lambda x: torch.ops.aten.relu_.default(x), nn.ReLU(inplace=True),
    ],
)  # fmt: skip
def test_every_way_to_write_is_known(function: Callable[[Tensor], Any]) -> None:
    module = Applied(function)
    program = trace(module, (3, 4, 4))
    assert writes(module, 4)
    assert may_write(program.module, program.program)


@pytest.mark.parametrize(
    "function", [F.relu, lambda x: x + x, lambda x: x[:, :2].relu(), lambda x: F.adaptive_avg_pool2d(x, 1).mean(-1)]
)
def test_what_writes_nothing_is_known(function: Callable[[Tensor], Any]) -> None:
    module = Applied(function)
    program = trace(module, (3, 4, 4))
    assert not writes(module, 4)
    assert not may_write(program.module, program.program)
