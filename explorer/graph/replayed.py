"""A network that is a list of operations already, as a file holds it: to trace it is to take that list."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn


class Replayed(nn.Module):
    """Runs `program` on images [N, C, H, W]; its operations read the weights below this module by qualified name.

    batch: the only number of images that the program holds for, None for any.
    """

    def __init__(self, program: fx.Graph, batch: int | None = None) -> None:
        super().__init__()
        self.program = program
        self.batch = batch

    def forward(self, x: Tensor) -> Any:
        return fx.Interpreter(self, graph=self.program).run(x)
