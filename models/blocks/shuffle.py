"""The units of ShuffleNet v1 and v2: cheap convolutions of part of the channels, and a shuffle that mixes the parts."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.blocks.inverted_residual import weighing
from models.layers import Add, Concat, activation, conv, norm, pool, sequence
from models.registry import Block, Paper, register
from models.spec import knob

PAPER_V1 = Paper(
    "X. Zhang, X. Zhou, M. Lin, J. Sun",
    "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
    "CVPR 2018",
    "https://arxiv.org/abs/1707.01083",
)
PAPER_V2 = Paper(
    "N. Ma, X. Zhang, H.-T. Zheng, J. Sun",
    "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
    "ECCV 2018",
    "https://arxiv.org/abs/1807.11164",
)


class ShuffleUnitV1Spec(knobs.AttentionKnobs):
    """Grouped 1×1, shuffle, depthwise k×k, grouped 1×1 (paper, figure 2b and c), and attention on what they make."""

    in_channels: int = knobs.in_channels(240, high=65_536)
    width: int = knobs.width(240, high=65_536)
    groups: int = knob(3, choices=(1, 2, 3, 4, 8), help="Groups of the 1×1 convolutions.", paper=3)
    first_grouped: bool = knob(True, help="Whether the first 1×1 is grouped; not in a network's first unit.")
    bottleneck: float = knob(0.25, low=0.05, high=1.0, step=0.05, help="Channels inside over the output's.", paper=0.25)
    kernel: int = knobs.depthwise_kernel(3)
    stride: int = knob(1, low=1, high=4, step=1, help="From 2 on the input is pooled and concatenated, not added.")
    shuffle: bool = knob(True, help="Mix the groups' channels before the depthwise convolution.", paper=True)
    activation: str = knobs.activation("relu", help="Non-linearity of the first and the last.")
    norm: str = knobs.norm("batch")

    @property
    def inner(self) -> int:
        """Channels of the depthwise convolution: a multiple of the groups."""
        return max(1, round(self.width * self.bottleneck / self.groups)) * self.groups

    @property
    def made(self) -> int:
        """Channels that the convolutions make: those beside the pooled input, where that is concatenated."""
        return self.width if self.stride == 1 else self.width - self.in_channels

    def check(self) -> None:
        if self.stride == 1 and self.in_channels != self.width:
            self.refuse("in_channels", "width", "stride", why="a unit of stride 1 adds its input, of as many channels")
        if self.stride > 1 and self.made < 1:
            self.refuse("in_channels", "width", "stride", why="the input is concatenated, so width must be larger")
        if self.first_grouped and self.in_channels % self.groups:
            self.refuse("in_channels", "groups", why="each group needs the same number of channels")
        if self.made % self.groups:
            self.refuse("in_channels", "width", "groups", why="each group must make the same number of channels")


class ShuffleUnitV1(nn.Module):
    """act(x + path(x)), or act(pool(x) beside path(x)) where the stride is not 1."""

    def __init__(self, spec: ShuffleUnitV1Spec) -> None:
        super().__init__()
        bias, inner = spec.norm == "none", spec.inner
        first = spec.groups if spec.first_grouped else 1
        self.conv1 = conv(spec.in_channels, inner, 1, groups=first, bias=bias)
        self.bn1 = norm(spec.norm, inner)
        self.act1 = activation(spec.activation)
        self.shuffle = nn.ChannelShuffle(spec.groups) if spec.shuffle else nn.Identity()
        self.conv2 = conv(inner, inner, spec.kernel, spec.stride, groups=inner, bias=bias)
        self.bn2 = norm(spec.norm, inner)
        self.conv3 = conv(inner, spec.made, 1, groups=spec.groups, bias=bias)
        self.bn3 = norm(spec.norm, spec.made)
        self.attention = weighing(spec, spec.made)
        self.pool = None if spec.stride == 1 else pool("average", 3, spec.stride, 1)
        self.join = Add() if spec.stride == 1 else Concat()
        self.act2 = activation(spec.activation)

    def forward(self, x: Tensor) -> Tensor:
        out = self.shuffle(self.act1(self.bn1(self.conv1(x))))
        out = self.bn3(self.conv3(self.bn2(self.conv2(out))))
        if self.attention is not None:
            out = self.attention(out)
        return self.act2(self.join(x if self.pool is None else self.pool(x), out))


def fitted_v1(in_channels: int, width: int, stride: int) -> ShuffleUnitV1Spec:
    """The unit in a slot of a network, in 3 groups if these divide the channels, else in 4, 2 or 1."""
    made = width if stride == 1 else width - in_channels
    groups = next(groups for groups in (3, 4, 2, 1) if in_channels % groups == 0 and made % groups == 0)
    values = {"in_channels": in_channels, "width": width, "stride": stride, "groups": groups}
    return ShuffleUnitV1Spec.parse(values)


class ShuffleUnitV2Spec(knobs.AttentionKnobs):
    """Split, convolve one half, concatenate, shuffle (paper, figure 3c); with a stride both halves (3d).

    Attention ends the branch of three convolutions.
    """

    in_channels: int = knobs.in_channels(116, low=2, step=2)
    width: int = knobs.width(116, low=2, step=2, paper=116)
    kernel: int = knobs.depthwise_kernel(3)
    stride: int = knob(1, low=1, high=4, step=1, help="From 2 on both branches read the whole input.")
    shuffle: bool = knob(True, help="Mix the halves at the end, so that the next unit reads both.", paper=True)
    activation: str = knobs.activation("relu", help="Non-linearity of the 1×1 convolutions.")
    norm: str = knobs.norm("batch")

    def check(self) -> None:
        if self.width % 2:
            self.refuse("width", why="half of the channels comes from each branch, so it must be even")
        if self.stride == 1 and self.in_channels != self.width:
            self.refuse("in_channels", "width", "stride", why="a unit of stride 1 hands on half of its input")


class Channels(nn.Module):
    """`count` channels from `first` on."""

    def __init__(self, first: int, count: int) -> None:
        super().__init__()
        self.first = first
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(1, self.first, self.count)


class ShuffleUnitV2(nn.Module):
    """`branch1` (the identity at stride 1) beside `branch2`, shuffled; under torchvision's names."""

    def __init__(self, spec: ShuffleUnitV2Spec) -> None:
        super().__init__()
        half, kind, act = spec.width // 2, spec.norm, spec.activation
        bias, split, weigh = kind == "none", spec.stride == 1, weighing(spec, half)
        inputs = half if split else spec.in_channels
        self.first = Channels(0, half) if split else nn.Identity()
        self.second = Channels(half, half) if split else nn.Identity()
        depthwise = {"kernel": spec.kernel, "stride": spec.stride, "bias": bias}
        self.branch1 = nn.Sequential() if split else sequence(
            conv(inputs, inputs, groups=inputs, **depthwise), norm(kind, inputs),
            conv(inputs, half, 1, bias=bias), norm(kind, half), activation(act),
        )  # fmt: skip
        self.branch2 = sequence(
            conv(inputs, half, 1, bias=bias), norm(kind, half), activation(act),
            conv(half, half, groups=half, **depthwise), norm(kind, half),
            conv(half, half, 1, bias=bias), norm(kind, half), activation(act),
            [] if weigh is None else [weigh],
        )  # fmt: skip
        self.concat = Concat()
        self.shuffle = nn.ChannelShuffle(2) if spec.shuffle else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(self.concat(self.branch1(self.first(x)), self.branch2(self.second(x))))


register(
    Block(
        name="shuffle_unit_v1",
        title="Shuffle unit v1",
        paper=PAPER_V1,
        summary="Grouped 1×1 convolutions cost little but keep the groups apart; a shuffle lets them meet.",
        spec=ShuffleUnitV1Spec,
        builder=ShuffleUnitV1,
        input_size=(240, 28, 28),
        adapter=fitted_v1,
    )
)
register(
    Block(
        name="shuffle_unit_v2",
        title="Shuffle unit v2",
        paper=PAPER_V2,
        summary="Half of the channels passes untouched, half is convolved; the shuffle lets them swap places.",
        spec=ShuffleUnitV2Spec,
        builder=ShuffleUnitV2,
        input_size=(116, 28, 28),
    )
)
