"""MobileNet v2's block, wide inside and narrow at its ends, and what all mobile blocks share with it."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from models import knobs
from models.blocks.attention import attention
from models.layers import Add, StochasticDepth, activation, conv, norm, sequence
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen",
    "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    "CVPR 2018",
    "https://arxiv.org/abs/1801.04381",
)
Parts = list[list[nn.Module]]


class LinearBottleneckSpec(knobs.AttentionKnobs):
    """1×1 to `expansion` times the channels, depthwise k×k, 1×1 without activation (paper, table 1)."""

    in_channels: int = knobs.in_channels(24, high=3072)
    width: int = knobs.width(24, high=3072)
    expansion: float = knobs.expansion(6.0)
    expanded: int = knob(0, low=0, high=30_720, step=8, help="Channels inside; 0 takes in_channels · expansion.")
    kernel: int = knobs.depthwise_kernel(3, choices=(1, 3, 5, 7, 9))
    stride: int = knobs.depthwise_stride(1)
    activation: str = knobs.activation("relu6", help="Non-linearity of the first two.")
    projection_activation: str = knob(
        "none", choices=knobs.ACTIVATION_NAMES, paper="none",
        help="Non-linearity after the last 1×1: it would destroy information in few channels, so there is none.",
    )  # fmt: skip
    norm: str = knobs.norm("batch")

    @property
    def inner(self) -> int:
        """Channels of the depthwise convolution."""
        return self.expanded or max(1, round(self.in_channels * self.expansion))

    @property
    def adds(self) -> bool:
        """Whether the input is added to the output."""
        return False


class InvertedResidualSpec(LinearBottleneckSpec):
    """A linear bottleneck with a shortcut between its narrow ends (paper, figure 3b)."""

    skip: bool = knobs.skip(True)
    drop_path: float = knobs.block_drop_path(0.0, paper=None)

    @property
    def adds(self) -> bool:
        return self.skip and self.stride == 1 and self.in_channels == self.width


def scaled(channels: int, factor: float = 1.0) -> int:
    """channels · factor to the nearest multiple of 8, no more than 10 % below: the rule of the authors' code."""
    exact = channels * factor
    near = max(8, int(exact + 4) // 8 * 8)
    return near + 8 if near < 0.9 * exact else near


def convolution(
    in_channels: int, out_channels: int, kernel: int, norm_kind: str, act: str, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, normalisation and, unless it is "none", activation: torchvision's order in a Sequential."""
    bias = norm_kind == "none"
    layers = [
        conv(in_channels, out_channels, kernel, stride, groups=groups, bias=bias), norm(norm_kind, out_channels)
    ]  # fmt: skip
    return layers if act == "none" else [*layers, activation(act)]


def depthwise_parts(spec: LinearBottleneckSpec, weigh: nn.Module | None) -> Parts:
    """Expansion (unless nothing grows), depthwise convolution, attention `weigh`, projection."""
    inner, act = spec.inner, spec.activation
    parts = [] if inner == spec.in_channels else [convolution(spec.in_channels, inner, 1, spec.norm, act)]
    parts.append(convolution(inner, inner, spec.kernel, spec.norm, act, spec.stride, groups=inner))
    if weigh is not None:
        parts.append([weigh])
    return [*parts, convolution(inner, spec.width, 1, spec.norm, spec.projection_activation)]


def weighing(spec: knobs.AttentionKnobs, channels: int) -> nn.Module | None:
    """The attention that a block's knobs name, over `channels`."""
    kind = spec.attention
    return None if kind == "none" else attention(kind, channels, spec.attention_reduction)


def grouped(parts: Iterable[list[nn.Module]]) -> list[nn.Module]:
    """Each part as one module."""
    return [part[0] if len(part) == 1 else sequence(part) for part in parts]


class MobileBlock(nn.Module):
    """A path of parts, and its input added where the Spec says so."""

    def __init__(self, adds: bool, drop_path: float = 0.0) -> None:
        super().__init__()
        self.stochastic_depth = StochasticDepth(drop_path) if adds and drop_path else None
        self.add = Add() if adds else None

    def joined(self, x: Tensor, out: Tensor) -> Tensor:
        """The output of the path, with the input added to it."""
        if self.add is None:
            return out
        return self.add(out if self.stochastic_depth is None else self.stochastic_depth(out), x)


class LinearBottleneck(MobileBlock):
    """`conv`: the parts in a row, the projection flat, as torchvision names them."""

    def __init__(self, spec: LinearBottleneckSpec) -> None:
        super().__init__(spec.adds, spec.drop_path if isinstance(spec, InvertedResidualSpec) else 0.0)
        *first, projection = depthwise_parts(spec, weighing(spec, spec.inner))
        self.conv = sequence(grouped(first), projection)

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x, self.conv(x))


register(
    Block(
        name="linear_bottleneck",
        title="Linear bottleneck",
        paper=PAPER,
        summary="Filters in many channels, hands on few, and leaves these as they are: ReLU would lose what they hold.",
        spec=LinearBottleneckSpec,
        builder=LinearBottleneck,
        input_size=(24, 56, 56),
    )
)
register(
    Block(
        name="inverted_residual",
        title="Inverted residual",
        paper=PAPER,
        summary="A linear bottleneck whose narrow ends are added: little memory between blocks, wide inside.",
        spec=InvertedResidualSpec,
        builder=LinearBottleneck,
        input_size=(24, 56, 56),
    )
)
