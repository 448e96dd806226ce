"""Small networks with what makes execution hard, and how results and modules are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from explorer.graph.trace import TracedProgram, trace


class Toy(nn.Module):
    """Functional, in-place and reused rectifiers; one whose result is thrown away, one in place on a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 8 * 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.sub_(0.1)
        y = self.relu(self.first(x))
        z = self.norm(self.second(y))
        F.relu_(z)
        z = self.relu(z + y)
        z.view(-1)[::2].mul_(2.0)
        z += y
        return self.head(F.dropout(torch.flatten(z, 1), 0.5, self.training))


class Structured(nn.Module):
    """Outputs nested in dicts and tuples, a size in the graph, an argument with a default."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor, scale: float = 2.0, mask: Tensor | None = None) -> Any:
        y = self.conv(x) * scale
        if mask is not None:
            y = y * mask
        return {"maps": y, "pair": (y.mean(), [y.view(y.size(0), -1)]), "rows": y.shape[2]}


class Branching(nn.Module):
    """Control flow on a size: torch.fx stops at it, torch.export does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.relu(self.norm(self.conv(x)))
        if int(y.shape[2]) > 2:
            y = y + 1
        return {"flat": y.flatten(1), "mean": y.mean((2, 3))}


TOYS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "toy": (Toy, (3, 8, 8)),
    "structured": (Structured, (1, 6, 9)),
    "branching": (Branching, (3, 8, 8)),
}


def toy(name: str, training: bool = False) -> tuple[nn.Module, TracedProgram, Tensor]:
    make, size = TOYS[name]
    module = make().train(training)
    return module, trace(module, size, training=training), torch.randn(3, *size)


def assert_equal(found: Any, expected: Any) -> None:
    """Same structure, same values."""
    (a, spec_a), (b, spec_b) = pytree.tree_flatten(found), pytree.tree_flatten(expected)
    assert spec_a == spec_b
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-6)


def forward(module: nn.Module, image: Tensor) -> Any:
    with torch.no_grad():
        return module(image.clone())
