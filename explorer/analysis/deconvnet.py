"""What in the image excites a unit, projected back to pixels (Zeiler and Fergus 2014): one unit of any layer, and the
signal at each layer on the way.

The network runs forward with the layers of `deconvnet_rules` replaced, and autograd goes back: so that functional,
reused and in-place activations, branches and joins are followed as the network itself computes them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.analysis.deconvnet_rules import BackwardSettings, backward_rules
from explorer.analysis.occluder import one_image
from explorer.analysis.passes import Cancel, Runnable
from explorer.errors import Cancelled, UserError
from explorer.graph.in_place import may_write
from explorer.graph.names import find_layer
from explorer.graph.reasons import reason
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement, arrangements
from explorer.run.execute import OpCall, Rule, first_tensor, run
from explorer.run.plain import PlainNetwork
from explorer.types import Cell


@dataclass(frozen=True, eq=False)
class BackwardStep:
    """The signal at the output of one layer, [channels, rows, columns]."""

    layer: str
    signal: Tensor


@dataclass(frozen=True, eq=False)
class Projection:
    """One unit projected back: signal [C, H, W], of the input's size.

    layer, channel, position: the unit, its activation the value there; the signal starts with 1 at the unit, so that
    activation × signal is what the paper shows. steps: the layers in the order in which the signal came through, from
    the unit's own on; empty unless they were asked for.
    """

    signal: Tensor
    layer: str
    channel: int
    position: Cell
    activation: float
    steps: tuple[BackwardStep, ...] = ()


def project(
    network: Runnable,
    image: Tensor,
    layer: str,
    channel: int | None = None,
    position: Cell | None = None,
    settings: BackwardSettings | None = None,
    *,
    steps: bool = False,
    cancel: Cancel | None = None,
) -> Projection:
    """One unit of a layer, back to an image [C, H, W] or [1, C, H, W] of normalised values.

    channel: by default the one with the greatest activation; position (row, column): by default where the channel is
    greatest. settings: the rules, by default the deconvnet's. steps: keep the signal at every layer. cancel: asked
    before each layer on both ways.
    Raises UserError (a network without a graph, a layer without maps or without a gradient, a unit that is not there,
    values that are not finite, rules that do not fit), UnknownNameError (the layer), Cancelled.
    """
    (found,) = project_units(network, image, layer, [(channel, position)], settings, steps=steps, cancel=cancel)
    return found


def project_units(
    network: Runnable,
    image: Tensor,
    layer: str,
    units: Sequence[tuple[int | None, Cell | None]],
    settings: BackwardSettings | None = None,
    *,
    steps: bool = False,
    on_unit: Callable[[Projection], object] | None = None,
    cancel: Cancel | None = None,
) -> list[Projection]:
    """Several units of a layer, each a channel and a position, by one way forward; else as `project`.

    on_unit is told each projection when it is there.
    """
    if isinstance(network, PlainNetwork):
        raise UserError("The network cannot be traced, and without its layers no signal can be led back through them.")
    name, found = find_layer(network.graph, layer).id, list[Projection]()
    arranged = arrangement(network.graph, name)
    back = _Backward(network, settings or BackwardSettings(), steps, cancel or (lambda: False))
    pixels = one_image(image).detach().clone().requires_grad_()
    with _refused(name), saved_tensors_mutable(network, back.cancel):
        maps = arranged.maps(first_tensor(back.forward(pixels, name)))[0]
        for channel, position in units:
            unit = _unit(maps.detach(), name, channel, position)
            signal, activation = back.signal(maps[unit], pixels), float(maps[unit].detach())
            found.append(Projection(signal[0], name, unit[0], unit[1:], activation, back.steps()))
            if on_unit is not None:
                on_unit(found[-1])
    return found


def project_each(
    network: Runnable,
    images: Tensor,
    layer: str,
    channels: Sequence[int],
    positions: Sequence[Cell],
    settings: BackwardSettings | None = None,
    *,
    cancel: Cancel | None = None,
) -> Tensor:
    """One unit of each of several images [N, C, H, W], by one way forward and back: [N, C, H, W]; else as `project`.

    channels, positions: N each. Images do not touch each other in evaluation, so that the signals of all go together.
    """
    if isinstance(network, PlainNetwork):
        raise UserError("The network cannot be traced, and without its layers no signal can be led back through them.")
    name = find_layer(network.graph, layer).id
    arranged = arrangement(network.graph, name)
    back = _Backward(network, settings or BackwardSettings(), False, cancel or (lambda: False))
    pixels = images.detach().clone().requires_grad_()
    with _refused(name), saved_tensors_mutable(network, back.cancel):
        maps = arranged.maps(first_tensor(back.forward(pixels, name)))
        units = [_unit(maps[n].detach(), name, *unit) for n, unit in enumerate(zip(channels, positions, strict=True))]
        at = torch.tensor([(n, *unit) for n, unit in enumerate(units)], device=maps.device).T
        return back.signal(maps[tuple(at)].sum(), pixels)


def _unit(maps: Tensor, layer: str, channel: int | None, position: Cell | None) -> tuple[int, int, int]:
    """Channel, row and column; the greatest where they are not given. Raises UserError."""
    channels, rows, columns = maps.shape
    if channel is not None and not 0 <= channel < channels:
        raise UserError(f"channel={channel}: layer {layer!r} has channels 0 to {channels - 1}.")
    if position is not None and not (0 <= position[0] < rows and 0 <= position[1] < columns):
        raise UserError(f"position={tuple(position)}: the maps of layer {layer!r} are {rows}×{columns}.")
    values = maps.nan_to_num(nan=-torch.inf)
    values = values[channel] if channel is not None else values
    values = values[..., position[0], position[1]] if position is not None else values
    found = [int(i) for i in torch.unravel_index(values.argmax(), values.shape)]
    unit = ([] if channel is None else [channel]) + found + list(position or ())
    if not maps[tuple(unit)].isfinite():
        raise UserError(f"layer={layer!r}: the activation of the unit is not finite, there is nothing to project.")
    return unit[0], unit[1], unit[2]


@contextlib.contextmanager
def saved_tensors_mutable(program: TracedProgram, cancel: Cancel) -> Generator[None]:
    """Many networks write into what autograd has kept: it then keeps a copy, and the network need not be changed.

    torch has one switch for all threads, so that one at a time uses it; a network that writes nothing needs none.
    Raises Cancelled while it waits.
    """
    if not may_write(program.module, program.program):
        yield
        return
    while not _MUTABLE.acquire(timeout=0.1):
        if cancel():
            raise Cancelled
    try:
        with torch.autograd.graph.allow_mutation_on_saved_tensors():
            yield
    finally:
        _MUTABLE.release()


_MUTABLE = threading.Lock()


@contextlib.contextmanager
def _refused(layer: str) -> Generator[None]:
    """What autograd refuses, in one sentence: views that are written into, operations without a derivative."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(f"layer={layer!r}: no signal can be led back from it: {reason(error)}") from error


class _Backward:
    """One way forward and back: the signals by layer, in the order in which they come."""

    def __init__(
        self, program: TracedProgram, settings: BackwardSettings, keep: bool, cancel: Callable[[], bool]
    ) -> None:
        self.program, self.keep, self.cancel = program, keep, cancel
        self.rules = backward_rules(program.graph, program.nodes, settings)
        self.signals: dict[str, Tensor] = {}

    def forward(self, pixels: Tensor, layer: str) -> Any:
        """The output of a layer, ready to be differentiated."""
        watched = {each.id: self._watched(each.id) for each in self.program.graph}
        return run(self.program, pixels, until=layer, rules=watched, cancel=self.cancel, grad=True).output

    def _watched(self, layer: str) -> Rule:
        """A layer by its rule, its signal noted when it comes back."""
        rule = self.rules.get(layer, OpCall.default)

        def arrive(signal: Tensor | None) -> None:
            if self.cancel():
                raise Cancelled
            if self.keep and signal is not None:  # None: a part of a chunk to which no signal comes
                self.signals[layer] = signal.detach().clone()

        def execute(call: OpCall) -> Any:
            output = rule(call)
            if isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(arrive)  # pyright: ignore[reportUnknownMemberType]
            return output

        return execute

    def signal(self, activation: Tensor, pixels: Tensor) -> Tensor:
        """The signal at the pixels, for which another unit may follow. Raises RuntimeError."""
        found = None
        self.signals.clear()
        if activation.requires_grad:
            (found,) = torch.autograd.grad(activation, pixels, allow_unused=True, retain_graph=True)
        if found is None:
            raise RuntimeError("it has no derivative by the image.")
        if not found.isfinite().all():
            raise RuntimeError("what comes back to the image is not finite.")
        return found

    def steps(self) -> tuple[BackwardStep, ...]:
        """The signals as maps, of the layers that have such."""
        known = arrangements(self.program.graph)
        return tuple(
            BackwardStep(layer, known[layer].maps(signal)[0])
            for layer, signal in self.signals.items()
            if layer in known
        )
