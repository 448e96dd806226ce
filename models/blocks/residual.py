"""The residual blocks of ResNet v1: a short path of convolutions is added to its input, then activated."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models import knobs
from models.blocks.attention import attention
from models.layers import Add, StochasticDepth, activation, conv, norm, pool, sequence
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "K. He, X. Zhang, S. Ren, J. Sun",
    "Deep Residual Learning for Image Recognition",
    "CVPR 2016",
    "https://arxiv.org/abs/1512.03385",
)
WIDE_PAPER = Paper(
    "S. Zagoruyko, N. Komodakis", "Wide Residual Networks", "BMVC 2016", "https://arxiv.org/abs/1605.07146"
)
SHORTCUTS = ("projection", "pool_projection", "all_projection", "zero_pad", "none")


class ResidualAddSpec(knobs.AttentionKnobs):
    """What everything with a residual add has (paper, eq. 1; with a projection eq. 2): `width` channels leave it."""

    in_channels: int = knobs.in_channels(64)
    width: int = knob(64, low=1, high=1024, step=8, help="Channels inside the block, before the factors.")
    kernel: int = knobs.kernel(3)
    stride: int = knobs.stride(1)
    shortcut: str = knob(
        "projection",
        choices=SHORTCUTS,
        help="How the input reaches the add where its shape must change: a strided 1×1 convolution (paper, option B), "
        "an average pool before an unstrided one, a 1×1 convolution in every block (option C), or zeros for the "
        "new channels (option A); with none it does not, in any block: a plain network (section 3.3).",
        paper="projection",
    )
    activation: str = knobs.activation("relu", help="Non-linearity of a block.")
    norm: str = knobs.norm("batch")
    attention_activation: str = knobs.attention_activation("relu")
    drop_path: float = knobs.block_drop_path(0.0)

    @property
    def out_channels(self) -> int:
        """Channels that leave the block."""
        return self.width

    def check(self) -> None:
        if self.shortcut == "zero_pad" and self.in_channels > self.out_channels:
            self.refuse("shortcut", "in_channels", "width", why="zeros can add channels, not remove them")


class ResidualSpec(ResidualAddSpec):
    """What every residual block of several convolutions has; `width` × `expansion` channels leave it."""

    expansion: int = knob(1, low=1, high=8, step=1, help="Output channels over width.", paper=1)
    stride_in: str = knob(
        "conv1", choices=("conv1", "conv2"), paper="conv1",
        help="Which convolution carries the stride: conv1 in the paper, conv2 in torchvision's bottlenecks.",
    )  # fmt: skip

    @property
    def inner(self) -> int:
        """Channels inside the block."""
        return self.width

    @property
    def inner_groups(self) -> int:
        """Groups of the k×k convolution inside a bottleneck."""
        return 1

    @property
    def out_channels(self) -> int:
        """Channels that leave the block."""
        return self.width * self.expansion

    @property
    def strides(self) -> tuple[int, int]:
        """The strides of conv1 and conv2."""
        return (self.stride, 1) if self.stride_in == "conv1" else (1, self.stride)


class BasicSpec(ResidualSpec):
    """Two k×k convolutions (paper, figure 5 left)."""

    width_factor: float = knob(
        1.0, low=0.25, high=4.0, step=0.25, help="Widens or thins the inside of the block only.", paper=1.0
    )

    @property
    def inner(self) -> int:
        """Channels inside the block."""
        return max(1, int(self.width * self.width_factor))


class BottleneckSpec(BasicSpec):
    """1×1 to the inner width, k×k, 1×1 out to `expansion` times the width (paper, figure 5 right)."""

    in_channels: int = knobs.like(BasicSpec, "in_channels", 256, paper=None)
    expansion: int = knobs.like(BasicSpec, "expansion", 4)
    stride_in: str = knobs.like(BasicSpec, "stride_in", "conv2", paper="conv1")
    depthwise: bool = knob(False, help="The k×k convolution filters each channel by itself.", paper=False)

    @property
    def inner_groups(self) -> int:
        """Groups of the k×k convolution: as many as channels where it is depthwise."""
        return self.inner if self.depthwise else 1


class WideSpec(BottleneckSpec):
    """A bottleneck whose inside is twice as wide (paper, section 2), as torchvision's wide ResNets have it."""

    width_factor: float = knobs.like(BottleneckSpec, "width_factor", 2.0, paper=None)


class PadChannels(nn.Module):
    """Adds `extra` channels of zeros."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, 0, 0, 0, 0, self.extra))


def shortcut(spec: ResidualAddSpec, normalised: bool = True) -> nn.Module | None:
    """What the input passes on its way to the add; None is the identity."""
    grows = spec.in_channels != spec.out_channels
    if spec.shortcut == "none":
        return None
    if spec.stride == 1 and not grows and spec.shortcut != "all_projection":
        return None
    stride = spec.stride
    first = []
    if spec.shortcut == "zero_pad":
        # Every stride-th pixel: a pool over windows of one pixel.
        return sequence(pool("average", 1, stride), PadChannels(spec.out_channels - spec.in_channels))
    if spec.shortcut == "pool_projection" and stride > 1:
        # He et al. 2019 (arXiv 1812.01187), ResNet-D: no pixel is skipped.
        first, stride = [pool("average", stride, stride, ceil_mode=True)], 1
    projection = conv(spec.in_channels, spec.out_channels, 1, stride, bias=spec.norm == "none")
    return sequence(first, projection, [norm(spec.norm, spec.out_channels)] if normalised else [])


class ResidualAdd(nn.Module):
    """The end of every residual block: branch + shortcut, after the branch's attention and stochastic depth."""

    def add_join(self, spec: ResidualAddSpec, normalised: bool = True) -> None:
        """Make the parts of the join: torchvision's `downsample`, and `add`."""
        kind, reduction = spec.attention, spec.attention_reduction
        self.attention = (
            None
            if kind == "none"
            else attention(kind, spec.out_channels, reduction, activation=spec.attention_activation)
        )
        self.stochastic_depth = StochasticDepth(spec.drop_path) if spec.drop_path else None
        self.downsample = shortcut(spec, normalised)
        self.add = None if spec.shortcut == "none" else Add()

    def join(self, branch: Tensor, x: Tensor) -> Tensor:
        """The sum of the branch's end and what the shortcut makes of x; the branch alone in a plain network."""
        if self.attention is not None:
            branch = self.attention(branch)
        if self.stochastic_depth is not None:
            branch = self.stochastic_depth(branch)
        if self.add is None:
            return branch
        return self.add(branch, x if self.downsample is None else self.downsample(x))


class BasicBlock(ResidualAdd):
    """act(norm(conv2(act(norm(conv1 x)))) + shortcut(x)), under torchvision's names."""

    def __init__(self, spec: ResidualSpec) -> None:
        super().__init__()
        bias = spec.norm == "none"
        stride1, stride2 = spec.strides
        self.conv1 = conv(spec.in_channels, spec.inner, spec.kernel, stride1, bias=bias)
        self.bn1 = norm(spec.norm, spec.inner)
        self.act1 = activation(spec.activation)
        self.conv2 = conv(spec.inner, spec.out_channels, spec.kernel, stride2, bias=bias)
        self.bn2 = norm(spec.norm, spec.out_channels)
        self.add_join(spec)
        self.act2 = activation(spec.activation)

    @property
    def last(self) -> nn.Module:
        """The layer of the branch whose weights of 0 make the block start as the identity."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.join(self.bn2(self.conv2(out)), x))


class Bottleneck(ResidualAdd):
    """1×1, k×k and 1×1 convolutions, each normalised, added to the shortcut; under torchvision's names."""

    def __init__(self, spec: ResidualSpec) -> None:
        super().__init__()
        bias = spec.norm == "none"
        stride1, stride2 = spec.strides
        self.conv1 = conv(spec.in_channels, spec.inner, 1, stride1, bias=bias)
        self.bn1 = norm(spec.norm, spec.inner)
        self.act1 = activation(spec.activation)
        self.conv2 = conv(spec.inner, spec.inner, spec.kernel, stride2, groups=spec.inner_groups, bias=bias)
        self.bn2 = norm(spec.norm, spec.inner)
        self.act2 = activation(spec.activation)
        self.conv3 = conv(spec.inner, spec.out_channels, 1, bias=bias)
        self.bn3 = norm(spec.norm, spec.out_channels)
        self.add_join(spec)
        self.act3 = activation(spec.activation)

    @property
    def last(self) -> nn.Module:
        """The layer of the branch whose weights of 0 make the block start as the identity."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        return self.act3(self.join(self.bn3(self.conv3(out)), x))


class ResidualConv(ResidualAdd):
    """act(norm(conv x)) + shortcut(x): the residual add around the least branch there is."""

    def __init__(self, spec: ResidualAddSpec) -> None:
        super().__init__()
        self.conv = conv(spec.in_channels, spec.out_channels, spec.kernel, spec.stride, bias=spec.norm == "none")
        self.bn = norm(spec.norm, spec.out_channels)
        self.act = activation(spec.activation)
        self.add_join(spec)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.act(self.bn(self.conv(x))), x)


register(
    Block(
        name="residual_basic",
        title="Residual basic block",
        paper=PAPER,
        summary="Two 3×3 convolutions learn what to add to the input; the identity lets the gradient past.",
        spec=BasicSpec,
        builder=BasicBlock,
    )
)
register(
    Block(
        name="residual_bottleneck",
        title="Residual bottleneck",
        paper=PAPER,
        summary="1×1 convolutions shrink and restore the channels, so that the 3×3 between them is cheap.",
        spec=BottleneckSpec,
        builder=Bottleneck,
        input_size=(256, 56, 56),
    )
)
register(
    Block(
        name="residual_wide",
        title="Wide residual bottleneck",
        paper=WIDE_PAPER,
        summary="A bottleneck with twice the channels at its 3×3: width where more depth no longer pays.",
        spec=WideSpec,
        builder=Bottleneck,
        input_size=(256, 56, 56),
    )
)
register(
    Block(
        name="residual_add",
        title="Residual add",
        paper=PAPER,
        summary="Any branch plus its input, projected where the shapes differ; here the branch is one convolution.",
        spec=ResidualAddSpec,
        builder=ResidualConv,
    )
)
