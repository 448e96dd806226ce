"""Which pixels change a unit inside a network, by the gradients of its traced program in float64 at random weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from explorer.graph.trace import TracedProgram
from explorer.run.execute import run
from explorer.types import Box
from tests.oracles.gradient_support import last_of

Unit = tuple[int, int]


def randomized(module: nn.Module, seed: int) -> None:
    """Weights of every kind get random values, so that no branch starts as zero, as scales of residuals often do."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                spread = (parameter.numel() / parameter.shape[0]) ** -0.5
                parameter.normal_(0, min(spread, 1), generator=generator)
            else:
                parameter.uniform_(0.3, 0.9, generator=generator)


def boxes_seen(
    program: TracedProgram, wanted: Mapping[str, Collection[Unit]], seed: int
) -> dict[tuple[str, Unit], Box]:
    """(top, left, bottom, right), ends exclusive, of the pixels with a gradient, for units (row, column) of layers."""
    generator = torch.Generator().manual_seed(seed)
    size = program.graph.layers[0].output_shape
    image = torch.randn(size, dtype=torch.float64, generator=generator).requires_grad_()
    maps = run(program, image, capture=list(wanted), until=last_of(program, wanted), grad=True).captured
    return {
        (name, unit): _box(maps[name][0, :, unit[0], unit[1]], image, generator)
        for name, units in wanted.items()
        for unit in units
    }


def _box(values: Tensor, image: Tensor, generator: torch.Generator) -> Box:
    weights = torch.rand(values.shape, dtype=torch.float64, generator=generator) + 0.5  # no channels that cancel
    (gradient,) = torch.autograd.grad((weights * values).sum(), image, retain_graph=True, allow_unused=True)
    if gradient is None:
        return 0, 0, 0, 0
    assert gradient.isfinite().all()
    seen = (gradient[0] != 0).any(0)
    rows, columns = seen.any(1).nonzero().flatten().tolist(), seen.any(0).nonzero().flatten().tolist()
    return (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows else (0, 0, 0, 0)
