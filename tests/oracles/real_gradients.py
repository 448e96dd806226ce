"""The field of a unit as the network itself shows it: the support of its gradient, in float64, at random inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from explorer.types import Box

INPUTS = 3  # a maximum has a gradient at one place only: several inputs show several


def boxes_of(module: nn.Module, size: tuple[int, int, int], units: Sequence[tuple[int, int]]) -> list[Box]:
    """(top, left, bottom, right) of the pixels that change each unit (row, column) of the output map."""
    module = module.double().eval()
    touched = [torch.zeros(size[1:], dtype=torch.bool) for _ in units]
    for seed in range(INPUTS):
        generator = torch.Generator().manual_seed(seed)
        image = torch.randn(1, *size, dtype=torch.float64, generator=generator).requires_grad_()
        maps: Tensor = module(image)[0]
        weights = torch.rand(maps.shape[0], dtype=torch.float64, generator=generator) + 0.5  # no channels that cancel
        for seen, (row, column) in zip(touched, units, strict=True):
            values = (weights * maps[:, row, column]).sum()
            (gradient,) = torch.autograd.grad(values, image, retain_graph=True, allow_unused=True)
            seen |= torch.zeros(size[1:], dtype=torch.bool) if gradient is None else (gradient[0] != 0).any(0)
    return [_around(seen) for seen in touched]


def _around(seen: Tensor) -> Box:
    rows, columns = seen.any(1).nonzero().flatten().tolist(), seen.any(0).nonzero().flatten().tolist()
    return (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows else (0, 0, 0, 0)
