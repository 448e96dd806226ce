"""The image that excites a unit most, found by gradient ascent from noise (Olah et al. 2017, feature visualisation)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import torch
from torch import Tensor

from explorer.analysis.deconvnet import saved_tensors_mutable
from explorer.analysis.deconvnet_rules import RECTIFIERS, BackwardSettings, backward_rules
from explorer.analysis.image_spectrum import (
    ViewRange,
    random_view,
    seen_through,
    start_spectrum,
    to_image,
    usual_axes,
)
from explorer.analysis.passes import Cancel, Runnable
from explorer.errors import Cancelled, UserError, shown
from explorer.graph.names import find_layer
from explorer.graph.reasons import reason
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import Arrangement, arrangement
from explorer.run.execute import Rule, first_tensor, run
from explorer.run.plain import PlainNetwork
from explorer.types import Cell

MOST_ASCENT_STEPS = 4096
WAKING_SHARE = 1 / 8  # of the steps, at first, in which a rectifier lets the gradient through where it is shut
OnStep = Callable[[int, int, float], object]  # steps done, steps in all, seconds left


@dataclass(frozen=True)
class OptimisationSettings:
    """steps: of Adam, with this step_size. seed: of the noise at the start and of the views. views: how far the image
    is turned, scaled and shifted at each step. mean, std: what the network's input is normalised by, per channel.
    axes: of the colours, as `colour_axes` makes them; by default ImageNet's."""

    steps: int = 256
    step_size: float = 0.05
    seed: int = 0
    views: ViewRange = field(default_factory=ViewRange)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    axes: Tensor | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_ASCENT_STEPS:
            raise UserError(f"steps={shown(self.steps)} is not from 1 to {MOST_ASCENT_STEPS:,}.")


@dataclass(frozen=True, eq=False)
class OptimisedImage:
    """image: [C, H, W], values from 0 to 1, before normalisation. layer, channel, position: the unit, position None for
    the whole channel. before, after: its activation by the noise and by the image; of a channel the greatest in its
    map. seed, steps: what made it."""

    image: Tensor
    layer: str
    channel: int
    position: Cell | None
    before: float
    after: float
    seed: int
    steps: int


def optimise_units(
    network: Runnable,
    layer: str,
    units: Sequence[tuple[int, Cell | None]],
    settings: OptimisationSettings | None = None,
    *,
    progress: OnStep | None = None,
    cancel: Cancel | None = None,
) -> list[OptimisedImage]:
    """For each unit (channel, position) of a layer the image that excites it most; a position of None means the whole
    channel: its greatest value and the mean of what is above 0 together.

    The units share every pass, and none knows of the others: each has a random state of its own. cancel: asked before
    each layer. The network is left as it was.
    Raises UserError (a network without a graph, a layer without maps or without a gradient, a unit that is not there,
    activations that are not finite), UnknownNameError (the layer), Cancelled.
    """
    if isinstance(network, PlainNetwork):
        raise UserError("The network cannot be traced, and without its layers no image can be optimised for one.")
    ascent = _Ascent(network, find_layer(network.graph, layer).id, units, settings or OptimisationSettings(), cancel)
    return ascent.climb(progress)


class _Ascent:
    """Images of several units of a layer on their way up."""

    def __init__(
        self,
        program: TracedProgram,
        layer: str,
        units: Sequence[tuple[int, Cell | None]],
        settings: OptimisationSettings,
        cancel: Cancel | None,
    ) -> None:
        self.program, self.layer, self.units, self.settings = program, layer, units, settings
        self.cancel: Cancel = cancel or (lambda: False)
        self.arranged: Arrangement = arrangement(program.graph, layer)
        self._check_units()
        channels, self.height, self.width = program.graph.layers[0].output_shape[1:]
        weights = next((p for p in program.module.parameters() if p.is_floating_point()), None)
        self.like = torch.empty(0) if weights is None else weights.detach().flatten()[:0]
        self.mean, self.std = (self._per_channel(name, channels) for name in ("mean", "std"))
        self.axes = usual_axes(channels) if settings.axes is None else settings.axes
        if self.axes.shape != (channels, channels):
            raise UserError(f"colours: of shape {list(self.axes.shape)}, for an image of {channels} channels.")
        self.random = [_generator(settings.seed, layer, unit) for unit in units]
        spectra = [start_spectrum((channels, self.height, self.width), each) for each in self.random]
        self.spectrum = torch.stack(spectra).to(self.like.device).requires_grad_()

    def _check_units(self) -> None:
        rows, columns = self.arranged.map_size
        channels = self.arranged.channels(self.program.graph[self.layer].output_shape)
        for channel, position in self.units:
            if not 0 <= channel < channels:
                raise UserError(f"channel={channel}: layer {self.layer!r} has channels 0 to {channels - 1}.")
            if position is not None and not (0 <= position[0] < rows and 0 <= position[1] < columns):
                raise UserError(f"position={tuple(position)}: the maps of layer {self.layer!r} are {rows}×{columns}.")

    def _per_channel(self, name: str, channels: int) -> Tensor:
        values = getattr(self.settings, name)
        if len(values) not in (1, channels):
            raise UserError(f"{name}={shown(values)} has {len(values)} values, for an image of {channels} channels.")
        return torch.tensor(values, device=self.like.device).expand(channels).view(-1, 1, 1)

    def climb(self, progress: OnStep | None) -> list[OptimisedImage]:
        """All steps, and what they led to."""
        waking, asleep = self._rules("pass"), max(1, round(self.settings.steps * WAKING_SHARE))
        adam, before = torch.optim.Adam([self.spectrum], lr=self.settings.step_size), self._strengths()
        started = monotonic()
        for step in range(self.settings.steps):
            self.spectrum.grad = self._gradient(waking if step < asleep else {})
            adam.step()  # pyright: ignore[reportUnknownMemberType]
            if progress is not None:
                done = step + 1
                progress(done, self.settings.steps, (monotonic() - started) / done * (self.settings.steps - done))
        after, images = self._strengths(), self._images().detach()
        return [
            OptimisedImage(images[i], self.layer, *unit, before[i], after[i], self.settings.seed, self.settings.steps)
            for i, unit in enumerate(self.units)
        ]

    def _rules(self, rule: str) -> dict[str, Rule]:
        """Rectifiers by this rule: where a unit is shut for the noise, its gradient is 0 and it would never wake."""
        kinds = {layer.kind for layer in self.program.graph} & set(RECTIFIERS)
        settings = BackwardSettings("gradient", dict.fromkeys(kinds, rule))  # pyright: ignore[reportArgumentType]
        return backward_rules(self.program.graph, self.program.nodes, settings)

    def _images(self) -> Tensor:
        return to_image(self.spectrum, self.width, self.axes)

    def _maps(self, images: Tensor, rules: dict[str, Rule], grad: bool) -> Tensor:
        given = ((images - self.mean) / self.std).to(self.like.dtype)
        found = run(self.program, given, until=self.layer, rules=rules, cancel=self.cancel, grad=grad)
        return self.arranged.maps(first_tensor(found.output))

    def _gradient(self, rules: dict[str, Rule]) -> Tensor:
        """Which way is down from what is to be made great."""
        views = torch.stack([random_view(self.settings.views, each) for each in self.random])
        try:
            with saved_tensors_mutable(self.program, self.cancel), torch.enable_grad():
                maps = self._maps(seen_through(self._images(), views), rules, grad=True)
                wanted = torch.stack([_wanted(maps[i], *unit) for i, unit in enumerate(self.units)])
                (found,) = torch.autograd.grad(-wanted.sum(), self.spectrum)
        except RuntimeError as error:
            raise UserError(f"layer={self.layer!r}: no gradient leads from it to the image: {reason(error)}") from error
        if self.cancel():
            raise Cancelled
        if not found.isfinite().all():
            raise UserError(f"layer={self.layer!r}: the gradient of its activation is not finite.")
        return found

    def _strengths(self) -> list[float]:
        """The activation of each unit by its image as it is, without a view."""
        maps = self._maps(self._images().detach(), {}, grad=False)
        return [float(_strength(maps[i], *unit)) for i, unit in enumerate(self.units)]


def _wanted(maps: Tensor, channel: int, position: Cell | None) -> Tensor:
    """Of a channel the maximum, and the mean of what is above 0, which fills the image.

    What is below 0 does not count: the mean of all of a map would hang on the brightness alone where filters have no
    rectifier behind them.
    """
    values = maps[channel].float()
    return values.clamp(min=0).mean() + values.max() if position is None else values[position]


def _strength(maps: Tensor, channel: int, position: Cell | None) -> Tensor:
    return maps[channel].max() if position is None else maps[channel][position]


def _generator(seed: int, layer: str, unit: tuple[int, Cell | None]) -> torch.Generator:
    """Its own random state for each unit, so that an image does not hang on what it is optimised together with."""
    digest = hashlib.sha256(f"{seed} {layer} {unit}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
