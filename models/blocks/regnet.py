"""The residual blocks of RegNet: a bottleneck whose k×k convolution works in groups of a fixed width."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models import knobs
from models.blocks.attention import SqueezeExcitation, SqueezeExcitationSpec, attention
from models.layers import Add, activation, conv, norm
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "I. Radosavovic, R. P. Kosaraju, R. Girshick, K. He, P. Dollár",
    "Designing Network Design Spaces",
    "CVPR 2020",
    "https://arxiv.org/abs/2003.13678",
)
BOTTLENECKS = (0.25, 0.5, 1.0, 2.0, 4.0)


class RegNetXBlockSpec(knobs.AttentionKnobs):
    """The X block (paper, figure 4): 1×1, grouped k×k, 1×1, added to the input and activated."""

    in_channels: int = knobs.in_channels(64)
    width: int = knobs.width(64)
    stride: int = knobs.stride(1)
    group_width: int = knob(
        16, low=1, high=512, step=8, help="Channels of each group of the k×k convolutions; at most all that there are."
    )
    bottleneck: float = knob(
        1.0, choices=BOTTLENECKS, paper=1.0,
        help="Channels inside the blocks over those outside; the paper's b is its inverse.",
    )  # fmt: skip
    se_ratio: float = knob(
        0.0, low=0.0, high=1.0, step=0.05, paper=0.0,
        help="Channels inside the squeeze-excitation over the block's input; 0 is none (RegNetX).",
    )  # fmt: skip
    kernel: int = knobs.kernel(3, help="Side of the grouped windows.")
    activation: str = knobs.activation("relu", help="Non-linearity, also after the add.")
    norm: str = knobs.norm("batch")

    @property
    def inner(self) -> int:
        """Channels inside the block."""
        return max(1, round(self.width * self.bottleneck))

    @property
    def groups(self) -> int:
        """Groups of the k×k convolution."""
        return self.inner // min(self.group_width, self.inner)

    @property
    def out_channels(self) -> int:
        """Channels that leave the block."""
        return self.width

    def check(self) -> None:
        if self.inner % min(self.group_width, self.inner):
            why = f"{self.inner} channels inside the block do not divide into groups of this width"
            self.refuse("width", "bottleneck", "group_width", why=why)


class RegNetYBlockSpec(RegNetXBlockSpec):
    """The Y block (paper, section 5.3): X with squeeze-excitation after the grouped convolution."""

    se_ratio: float = knobs.like(RegNetXBlockSpec, "se_ratio", 0.25)


class RegNetBlock(nn.Module):
    """act(proj(x) + f(x)), f = a, b, se, c: torchvision's names."""

    def __init__(self, spec: RegNetXBlockSpec) -> None:
        super().__init__()
        self.proj = None
        if spec.in_channels != spec.width or spec.stride > 1:
            self.proj = conv_unit(spec, spec.in_channels, spec.width, stride=spec.stride, last=True)
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["a"] = conv_unit(spec, spec.in_channels, spec.inner)
        parts["b"] = conv_unit(spec, spec.inner, spec.inner, spec.kernel, spec.stride, spec.groups)
        if spec.se_ratio:
            squeeze = max(1, round(spec.se_ratio * spec.in_channels))
            parts["se"] = SqueezeExcitation(
                SqueezeExcitationSpec(in_channels=spec.inner, squeeze=squeeze, activation=spec.activation)
            )
        parts["c"] = conv_unit(spec, spec.inner, spec.width, last=True)
        self.f = nn.Sequential(parts)
        self.attention = attention(spec.attention, spec.width, spec.attention_reduction)
        self.add = Add()
        self.activation = activation(spec.activation)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.proj is None else self.proj(x)
        return self.activation(self.add(identity, self.attention(self.f(x))))


def conv_unit(
    spec: RegNetXBlockSpec, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1,
    last: bool = False,
) -> nn.Sequential:  # fmt: skip
    """Convolution, norm and, unless it is the last before the add, activation."""
    layers = [
        conv(in_channels, out_channels, kernel, stride, groups=groups, bias=spec.norm == "none"),
        norm(spec.norm, out_channels),
    ]
    return nn.Sequential(*layers) if last else nn.Sequential(*layers, activation(spec.activation))


register(
    Block(
        name="regnet_x",
        title="RegNet X block",
        paper=PAPER,
        summary="A bottleneck with a grouped 3×3: the width of a group stays, wider stages have more groups.",
        spec=RegNetXBlockSpec,
        builder=RegNetBlock,
    )
)
register(
    Block(
        name="regnet_y",
        title="RegNet Y block",
        paper=PAPER,
        summary="The X block, its inside weighed channel by channel by squeeze-excitation.",
        spec=RegNetYBlockSpec,
        builder=RegNetBlock,
    )
)
