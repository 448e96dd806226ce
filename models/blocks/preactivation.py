"""The residual blocks of ResNet v2: norm and activation come before each convolution, nothing after the add."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.blocks.residual import BasicSpec, BottleneckSpec, ResidualAdd, ResidualSpec
from models.layers import activation, conv, norm
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "K. He, X. Zhang, S. Ren, J. Sun",
    "Identity Mappings in Deep Residual Networks",
    "ECCV 2016",
    "https://arxiv.org/abs/1603.05027",
)


class PreActBasicSpec(BasicSpec):
    """norm, act, k×k convolution, twice (paper, figure 1b)."""

    full_preactivation: bool = knob(
        True, paper=True,
        help="Where the shortcut projects, it too reads the normalised, activated input (off: the raw one).",
    )  # fmt: skip


class PreActBottleneckSpec(BottleneckSpec):
    """norm, act, convolution, three times: 1×1, k×k, 1×1 (paper, section 4)."""

    full_preactivation: bool = knobs.like(PreActBasicSpec, "full_preactivation")


class PreActivated(ResidualAdd):
    """A residual block whose convolutions each follow their norm and activation; subclasses list the convolutions."""

    def __init__(self, spec: ResidualSpec) -> None:
        super().__init__()
        self.bn1 = norm(spec.norm, spec.in_channels)
        self.act1 = activation(spec.activation)
        self.add_convolutions(spec)
        self.add_join(spec, normalised=False)
        # Zeros for new channels project nothing: that shortcut stays the raw input.
        self.full = getattr(spec, "full_preactivation", True) and spec.shortcut != "zero_pad"

    def add_convolutions(self, spec: ResidualSpec) -> None:
        """Make the convolutions, and the norms and activations between them."""
        raise NotImplementedError

    def convolve(self, x: Tensor) -> Tensor:
        """The branch after its first norm and activation."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        activated = self.act1(self.bn1(x))
        projects = self.downsample is not None and self.full
        return self.join(self.convolve(activated), activated if projects else x)


class PreActBasic(PreActivated):
    """conv2(act(norm(conv1(act(norm x))))) + shortcut; the identity passes untouched through any number of blocks."""

    def add_convolutions(self, spec: ResidualSpec) -> None:
        """Make the two convolutions."""
        bias = spec.norm == "none"
        stride1, stride2 = spec.strides
        self.conv1 = conv(spec.in_channels, spec.inner, spec.kernel, stride1, bias=bias)
        self.bn2 = norm(spec.norm, spec.inner)
        self.act2 = activation(spec.activation)
        self.conv2 = conv(spec.inner, spec.out_channels, spec.kernel, stride2, bias=bias)

    @property
    def last(self) -> nn.Module:
        """The layer of the branch whose weights of 0 make the block start as the identity."""
        return self.conv2

    def convolve(self, x: Tensor) -> Tensor:
        """The branch after its first norm and activation."""
        return self.conv2(self.act2(self.bn2(self.conv1(x))))


class PreActBottleneck(PreActivated):
    """1×1, k×k and 1×1 convolutions, each after its norm and activation, added to the shortcut."""

    def add_convolutions(self, spec: ResidualSpec) -> None:
        """Make the three convolutions."""
        bias = spec.norm == "none"
        stride1, stride2 = spec.strides
        self.conv1 = conv(spec.in_channels, spec.inner, 1, stride1, bias=bias)
        self.bn2 = norm(spec.norm, spec.inner)
        self.act2 = activation(spec.activation)
        self.conv2 = conv(spec.inner, spec.inner, spec.kernel, stride2, groups=spec.inner_groups, bias=bias)
        self.bn3 = norm(spec.norm, spec.inner)
        self.act3 = activation(spec.activation)
        self.conv3 = conv(spec.inner, spec.out_channels, 1, bias=bias)

    @property
    def last(self) -> nn.Module:
        """The layer of the branch whose weights of 0 make the block start as the identity."""
        return self.conv3

    def convolve(self, x: Tensor) -> Tensor:
        """The branch after its first norm and activation."""
        x = self.conv2(self.act2(self.bn2(self.conv1(x))))
        return self.conv3(self.act3(self.bn3(x)))


register(
    Block(
        name="preact_basic",
        title="Pre-activation basic block",
        paper=PAPER,
        summary="Norm and activation move before the convolutions, so that nothing stands in the identity's way.",
        spec=PreActBasicSpec,
        builder=PreActBasic,
    )
)
register(
    Block(
        name="preact_bottleneck",
        title="Pre-activation bottleneck",
        paper=PAPER,
        summary="The bottleneck with norm and activation before each convolution; a thousand layers train.",
        spec=PreActBottleneckSpec,
        builder=PreActBottleneck,
        input_size=(256, 56, 56),
    )
)
