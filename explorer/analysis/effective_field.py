"""The effective receptive field: how much each pixel of the input sways one unit, measured by the unit's gradient.

Luo, Li, Urtasun, Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks" (NIPS
2016): the theoretical field says which pixels can count, and only a blurred disc in its middle does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.passes import Cancel
from explorer.errors import Cancelled, UserError
from explorer.graph.layers import LayerGraph
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import Arrangement, arrangement
from explorer.receptive_field.report import ReceptiveField
from explorer.run import device
from explorer.run.execute import first_tensor, run
from explorer.types import Box, Cell, InputSize, Size

MASS_SHARES = (0.5, 0.9, 0.99)  # of the mass, whose radii are reported


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of a layer: the sum over the channels at (row, column), or one channel there."""

    layer: str
    row: int
    column: int
    channel: int | None = None


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """mass: [H, W], the share of each pixel in Σ |∂ unit / ∂ pixel|, summed over the input's channels and averaged over
    `inputs` inputs; it sums to 1, or is 0 everywhere where the unit has no gradient. centre: (row, column) in pixels of
    the unit's field, borders of pixels being whole numbers."""

    mass: np.ndarray
    centre: tuple[float, float]
    inputs: int

    @property
    def is_zero(self) -> bool:
        """Whether no pixel sways the unit, as behind a rectifier that none of these inputs passes."""
        return not self.mass.any()

    def radius(self, share: float) -> float:
        """Pixels from the centre to the sides of the smallest square around it whose whole pixels hold that share of
        the mass: half of its side, which compares with the size of the theoretical field. NaN without any mass."""
        distances, held = self._growing
        if self.is_zero:
            return float("nan")
        reached = int(np.searchsorted(held, share * float(held[-1]) * (1 - 1e-12)))
        return float(distances[min(reached, len(distances) - 1)])

    def within(self, box: Box) -> float:
        """The share of the mass inside a box of pixels (top, left, bottom, right), ends exclusive."""
        top, left, bottom, right = box
        return float(self.mass[top:bottom, left:right].sum())

    @cached_property
    def _growing(self) -> tuple[np.ndarray, np.ndarray]:
        """Half sides of squares around the centre, ascending, and the mass that each holds."""
        rows, columns = np.indices(self.mass.shape)
        distances = np.maximum(abs(rows + 0.5 - self.centre[0]), abs(columns + 0.5 - self.centre[1])) + 0.5
        sides, which = np.unique(distances, return_inverse=True)
        return sides, np.bincount(which.ravel(), self.mass.ravel()).cumsum()


def centre_of(field: ReceptiveField, position: Cell, map_size: Size) -> tuple[float, float]:
    """(row, column) of the middle of what a unit sees, padding included, in pixels of the image.

    Along an axis that every unit sees whole, the middle of the unit's own part of the image.
    """
    if field.boxes is not None:
        top, left, bottom, right = field.box(*position)
        return (top + bottom) / 2, (left + right) / 2
    row, column = (
        (at + 0.5) * length / count if axis.is_global or (seen := axis.interval(at)) is None else sum(seen, 1) / 2
        for axis, at, count, length in zip(field.axes, position, map_size, field.image_size, strict=True)
    )
    return row, column


def noise(size: InputSize, count: int, seed: int = 0) -> Iterator[Tensor]:
    """`count` inputs [1, C, H, W] of standard normal values: what a normalised picture is on average, without shape."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.randn(1, *size, generator=generator)


def effective_field_steps(
    program: TracedProgram,
    unit: Unit,
    centre: tuple[float, float],
    inputs: Iterable[Tensor],
    cancel: Cancel | None = None,
) -> Iterator[EffectiveField]:
    """The field after each of the inputs [1, C, H, W], which are on the device of the weights: their mean so far.

    cancel is asked before each layer, on the way back as well. Raises UserError (a unit that is not there, a gradient
    that is not finite), UnknownNameError (the layer), MemoryLimitError, Cancelled.
    """
    layer = find_layer(program.graph, unit.layer).id
    laid_out = arrangement(program.graph, layer)
    total: np.ndarray | None = None
    for count, image in enumerate(inputs, start=1):
        if count == 1:
            device.ensure_fits(gradient_bytes(program.graph, layer), image.device, f"The gradient of {layer}")
        found = _magnitude(program, layer, laid_out, unit, image, cancel)
        total = found if total is None else total + found
        yield EffectiveField(total / (total.sum() or 1.0), centre, count)


def gradient_bytes(graph: LayerGraph, layer: str) -> int:
    """What the gradient of a layer takes at batch 1: the outputs of all layers before it, kept for the way back, and on
    that way three times the largest of them."""
    before: set[str] = set()
    queue = [layer]
    while queue:
        name = queue.pop()
        if name not in before:
            before.add(name)
            queue.extend(graph[name].inputs)
    sizes = {buffer.id: buffer.size_bytes for name in before for buffer in graph[name].buffers}
    return sum(sizes.values()) + 3 * max(sizes.values(), default=0)


def _magnitude(
    program: TracedProgram, layer: str, laid_out: Arrangement, unit: Unit, image: Tensor, cancel: Cancel | None
) -> np.ndarray:
    """Σ over the input's channels of |∂ unit / ∂ pixel|, float64 [H, W]."""
    leaf = image.detach().clone().requires_grad_()
    value = _value(laid_out.maps(first_tensor(run(program, leaf, until=layer, cancel=cancel, grad=True).output)), unit)
    if not value.requires_grad:  # made of weights alone
        return np.zeros(leaf.shape[2:])
    if cancel is not None:
        _ask_on_the_way_back(value, cancel)
    gradient: Tensor | None = torch.autograd.grad(value, leaf, allow_unused=True)[0]
    if gradient is None:  # pyright: ignore[reportUnnecessaryComparison]
        return np.zeros(leaf.shape[2:])
    found = gradient[0].abs().sum(0).double().cpu().numpy()
    if not np.isfinite(found).all():
        raise UserError(
            f"layer={unit.layer!r}: the gradient of its unit is not finite, so there is no effective field."
        )
    return found


def _value(maps: Tensor, unit: Unit) -> Tensor:
    """The unit's value, out of maps [1, channels, rows, columns]."""
    channels, rows, columns = maps.shape[1:]
    for name, at, count in (
        ("row", unit.row, rows),
        ("column", unit.column, columns),
        ("channel", unit.channel, channels),
    ):
        if at is not None and not 0 <= at < count:
            raise UserError(f"{name}={at} of {unit.layer} is not from 0 to {count - 1}.")
    column = maps[0, :, unit.row, unit.column]
    return column.sum() if unit.channel is None else column[unit.channel]


def _ask_on_the_way_back(value: Tensor, cancel: Cancel) -> None:
    """Let each step of the backward pass ask first whether to go on. Raises Cancelled in it."""

    def ask(_: tuple[Tensor, ...]) -> None:
        if cancel():
            raise Cancelled

    seen, queue = set[object](), [value.grad_fn]
    while queue:
        node = queue.pop()
        if node is not None and node not in seen:
            seen.add(node)
            node.register_prehook(ask)
            queue.extend(following for following, _ in node.next_functions)
