"""The ResNeXt block: a bottleneck whose 3×3 convolution works in many independent groups of few channels."""

from __future__ import annotations

from models import knobs
from models.blocks.preactivation import PreActBasicSpec, PreActBottleneck
from models.blocks.residual import Bottleneck, ResidualSpec
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He",
    "Aggregated Residual Transformations for Deep Neural Networks",
    "CVPR 2017",
    "https://arxiv.org/abs/1611.05431",
)
BASE_WIDTH = 64


class ResNeXtBlockSpec(ResidualSpec):
    """1×1, grouped k×k, 1×1 (paper, figure 3c); the inside is width · group_width / 64 · groups channels wide."""

    in_channels: int = knobs.like(ResidualSpec, "in_channels", 256, paper=None)
    expansion: int = knobs.like(ResidualSpec, "expansion", 4)
    stride_in: str = knobs.like(ResidualSpec, "stride_in", "conv2")
    groups: int = knob(
        32, low=1, high=64, step=1, paper=32,
        help="Independent paths (cardinality): the k×k convolution costs 1/groups of a whole one as wide.",
    )  # fmt: skip
    group_width: int = knob(
        4, low=1, high=64, step=1, paper=4,
        help="Channels of one path where width is 64; wider stages have proportionally more.",
    )  # fmt: skip

    @property
    def inner(self) -> int:
        """Channels inside the block: the groups always divide them."""
        return max(1, self.width * self.group_width // BASE_WIDTH) * self.groups

    @property
    def inner_groups(self) -> int:
        """Groups of the k×k convolution."""
        return self.groups


class PreActResNeXtBlockSpec(ResNeXtBlockSpec):
    """The same (paper, figure 3c) with norm and activation before each convolution."""

    full_preactivation: bool = knobs.like(PreActBasicSpec, "full_preactivation", paper=None)


register(
    Block(
        name="resnext",
        title="ResNeXt block",
        paper=PAPER,
        summary="32 paths of 4 channels for one of 64: more channels for the same cost, and more accurate.",
        spec=ResNeXtBlockSpec,
        builder=Bottleneck,
        input_size=(256, 56, 56),
    )
)
register(
    Block(
        name="resnext_preact",
        title="Pre-activation ResNeXt block",
        paper=PAPER,
        summary="The grouped bottleneck with norm and activation before each convolution.",
        spec=PreActResNeXtBlockSpec,
        builder=PreActBottleneck,
        input_size=(256, 56, 56),
    )
)
