"""Logits with squares over an image, by the incremental engine and by whole passes, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from explorer.analysis.incremental.engine import Incremental
from explorer.analysis.occluder import occlude, square_boxes
from explorer.graph.trace import TracedProgram
from explorer.run.execute import first_tensor

Pair = tuple[int, int]
PER_PASS = 16


def with_statistics(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in evaluation mode and double precision, its norms with statistics and weights of their own.

    As after training; where single precision would round a small change off.
    """
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
                norm.running_mean.normal_(0, 0.1, generator=chance)
                norm.running_var.uniform_(0.5, 1.5, generator=chance)
                for weights in norm.parameters():
                    weights.uniform_(0.5, 1.5, generator=chance)
    return module.eval().double()


def positions(shape: Pair, count: int, seed: int = 0) -> list[Pair]:
    """Corners, the middles of the borders, and random positions of a grid, `count` or all."""
    rows, columns = shape
    ends = [(r, c) for r in {0, rows // 2, rows - 1} for c in {0, columns // 2, columns - 1}]
    every = [(r, c) for r in range(rows) for c in range(columns) if (r, c) not in ends]
    order = np.random.default_rng(seed).permutation(len(every))
    return [*ends, *(every[k] for k in order[: max(0, count - len(ends))])]


def apart(program: TracedProgram, image: Tensor, window: Pair, stride: Pair, count: int = 50) -> tuple[float, float]:
    """The largest difference of outputs, relative to the largest output and to the largest change by a square."""
    boxes, filling = (
        square_boxes((image.shape[2], image.shape[3]), window, stride),
        image.new_zeros(1, image.shape[1], 1, 1),
    )
    engine, at = Incremental.of(program, image, boxes), positions((len(boxes), boxes.shape[1]), count)
    batches = [at[first : first + PER_PASS] for first in range(0, len(at), PER_PASS)]
    found = torch.cat([first_tensor(engine.forward(batch, filling).output) for batch in batches])
    with torch.no_grad():
        clean = first_tensor(program.module(image.clone()))
        expected = torch.cat(
            [first_tensor(program.module(pictures)) for pictures in _occluded(image, boxes, at, filling)]
        )
    error = (found - expected).abs().max().item()
    return error / expected.abs().max().item(), error / max((expected - clean).abs().max().item(), 1e-12)


def _occluded(image: Tensor, boxes: np.ndarray, at: list[Pair], filling: Tensor) -> Iterator[Tensor]:
    for first in range(0, len(at), PER_PASS):
        chosen = [tuple(boxes[each].tolist()) for each in at[first : first + PER_PASS]]
        yield torch.cat([occlude(image, box, fill_value=filling) for box in chosen])
