"""What is changed while a network is traced, is of that network alone, and is put back."""

from __future__ import annotations

import math
import threading
from math import sqrt
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from explorer import analyze
from explorer.graph.trace import trace

SIZE = (3, 8, 8)


class Watching(nn.Module):
    """Notes, while its forward runs on stand-ins, what nn.Module is, and what another thread has of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.noted: SimpleQueue[Any] = SimpleQueue()  # tracing puts back what is appended to lists

    def note(self) -> None:
        self.noted.put(self.scale)
        self.noted.put(self.inner(torch.ones(1, 3, 4, 4)))

    def forward(self, x: Tensor) -> Tensor:
        thread = threading.Thread(target=self.note)
        thread.start()
        thread.join()
        self.noted.put((nn.Module.__call__, nn.Module.__getattr__))
        return self.inner(x * self.scale)


def test_nn_module_and_other_threads_stay_as_they_are() -> None:
    before = nn.Module.__call__, nn.Module.__getattr__
    module = Watching()
    assert [layer.kind for layer in analyze(module, SIZE).layers] == ["input", "mul", "conv", "relu"]
    assert module.noted.get() is module.scale
    assert type(module.noted.get()) is Tensor
    assert module.noted.get() == before


class Compiled(nn.Module):
    """A part is compiled in place: torch calls what it compiled instead of the part."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.conv.compile(backend="eager")

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_a_part_compiled_in_place_is_traced_and_stays_compiled() -> None:
    module = Compiled()
    before = vars(module.conv)["_compiled_call_impl"]
    assert [layer.id for layer in analyze(module, SIZE).layers] == ["input", "conv"]
    assert vars(module.conv)["_compiled_call_impl"] is before


class Stops(Watching):
    def forward(self, x: Tensor) -> Tensor:
        self.inner(x * self.scale)
        raise KeyError("on the way")


@pytest.mark.parametrize("made", [Watching, Stops])
def test_the_entries_of_the_modules_are_put_back(made: type[nn.Module]) -> None:
    module = made()
    before = [{name: id(value) for name, value in vars(part).items()} for part in module.modules()]
    trace(module, SIZE, partial=True)
    assert [{name: id(value) for name, value in vars(part).items()} for part in module.modules()] == before


class Roots(nn.Module):
    """Reads sizes through functions of `math`, as an attribute and by a name of its own."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[2] ** 2
        return x * sqrt(rows) + math.floor(x.shape[3] / 2)


def test_functions_of_math_are_followed_and_put_back() -> None:
    before = dict(vars(math)), sqrt
    found = trace(Roots(), SIZE)
    assert {node.target for node in found.program.nodes} >= {before[1], before[0]["floor"]}
    assert (dict(vars(math)), sqrt) == before


class Reads(nn.Module):
    """Reads its parameters one by one, by name and all together."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        assert all(isinstance(p, nn.Parameter) for p in self.parameters())
        assert next(self.parameters()).dtype == torch.float32
        return nn.functional.conv2d(x, self.conv.weight * self.scale)


def test_a_parameter_read_by_name_counts_for_the_layer_that_uses_it() -> None:
    (_, conv) = trace(Reads(), SIZE).graph.layers
    assert set(conv.parameters) == {"conv.weight", "scale"}
    assert conv.param_count == 4 * 3 * 9 + 1
