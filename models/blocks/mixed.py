"""What Inception modules from the second version on share: branches side by side, of convolutions and norms."""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor, nn

from models import knobs
from models.blocks.inception import BATCH_NORM_EPS, shares
from models.layers import Concat, ConvNormAct, pool
from models.spec import Spec, knob

Named = tuple[str, nn.Module]
Step = Named | tuple[Named, Named]  # one layer, or two that read the same map, concatenated


def channels(default: int, help: str) -> int:
    """Knob: channels of a convolution inside a module."""
    return knob(default, low=1, high=4096, step=8, help=help, paper=default)


class UnitKnobs(Protocol):
    """What a unit reads of a Spec."""

    @property
    def activation(self) -> str: ...
    @property
    def norm(self) -> str: ...


class MixedSpec(Spec):
    """What all these modules have; `outputs` are the channels that the concatenation joins."""

    outputs: ClassVar[tuple[str, ...]] = ()

    in_channels: int = knobs.in_channels(256)
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")

    @property
    def out_channels(self) -> int:
        """Channels that leave the module."""
        return sum(getattr(self, name) for name in self.outputs)


class PooledSpec(MixedSpec):
    """A module that keeps the map's size and has a pool branch."""

    branch_pool: str = knobs.branch_pool("average")
    count_padding: bool = knob(True, help="Whether averages count the zeros at the border; torchvision's v3 does.")


class ReductionSpec(MixedSpec):
    """A module that shrinks the map; its pool branch passes all channels of the input."""

    stride: int = knobs.stride(2, paper=2)
    padding: int = knob(0, choices=(0, 1), unit="px", help="Zeros at the border of the strided windows.", paper=0)
    branch_pool: str = knobs.branch_pool("max")

    @property
    def out_channels(self) -> int:
        """Channels that leave the module, those that the pool passes included."""
        return self.in_channels + super().out_channels


class Mixed(nn.Module):
    """Branches that read the same map, side by side; the layers of all branches are named in one list."""

    def __init__(self, *branches: list[Step]) -> None:
        super().__init__()
        self._branches = [[self._add(step) for step in branch] for branch in branches]
        self.concat = Concat()

    def _add(self, step: Step) -> tuple[str, ...]:
        """Take in a step's layers; returns their names, with that of their concatenation where there are two."""
        layers: tuple[Named, ...] = (step,) if isinstance(step[0], str) else step  # type: ignore[assignment]
        for name, layer in layers:
            self.add_module(name, layer)
        names = tuple(name for name, _ in layers)
        if len(names) > 1:
            names = (*names, f"{names[0]}_concat")
            self.add_module(names[-1], Concat())
        return names

    def _run(self, x: Tensor, steps: list[tuple[str, ...]]) -> Tensor:
        for name, *others in steps:
            if others:
                x = getattr(self, others[1])(getattr(self, name)(x), getattr(self, others[0])(x))
            else:
                x = getattr(self, name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.concat(*(self._run(x, steps) for steps in self._branches))


def unit(
    spec: UnitKnobs, in_channels: int, out_channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1,
    padding: int | None = None,
) -> ConvNormAct:  # fmt: skip
    """A convolution with the module's norm and activation; without `padding` it keeps the size."""
    return ConvNormAct(
        in_channels, out_channels, kernel, stride, padding, norm_kind=spec.norm, act=spec.activation, eps=BATCH_NORM_EPS
    )


def same_pool(spec: PooledSpec) -> nn.Module:
    """The 3×3 pool of a module that keeps the size."""
    if spec.branch_pool == "average" and not spec.count_padding:
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return pool(spec.branch_pool, 3, 1, 1)


def strided(spec: ReductionSpec, in_channels: int, out_channels: int) -> ConvNormAct:
    """The 3×3 convolution of a reduction."""
    return unit(spec, in_channels, out_channels, 3, spec.stride, spec.padding)


def strided_pool(spec: ReductionSpec) -> nn.Module:
    """The 3×3 pool of a reduction."""
    return pool(spec.branch_pool, 3, spec.stride, spec.padding)


def fit_pooled(spec: type[MixedSpec], in_channels: int, width: int, stride: int) -> MixedSpec:
    """A module that keeps the size, in a slot of a network: its branches in their own proportions; it has no stride."""
    return spec.parse({"in_channels": in_channels, **shares(spec(), width, spec.outputs)})


def fit_reduction(spec: type[MixedSpec], in_channels: int, width: int, stride: int) -> MixedSpec:
    """A reduction in a slot: the pool branch passes its input, the others share what is left of the width."""
    widths = shares(spec(), width - in_channels, spec.outputs)
    return spec.parse({**widths, "in_channels": in_channels, "stride": stride, "padding": 1})
