"""MBConv and Fused-MBConv: inverted residuals with squeeze-excitation, and with one full convolution in front."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.blocks.attention import attention
from models.blocks.inverted_residual import (
    InvertedResidualSpec,
    MobileBlock,
    Parts,
    convolution,
    depthwise_parts,
    grouped,
    weighing,
)
from models.layers import sequence
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "M. Tan, Q. V. Le",
    "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    "ICML 2019",
    "https://arxiv.org/abs/1905.11946",
)
FUSED_PAPER = Paper(
    "M. Tan, Q. V. Le", "EfficientNetV2: Smaller Models and Faster Training", "ICML 2021",
    "https://arxiv.org/abs/2104.00298",
)  # fmt: skip


class MBConvSpec(InvertedResidualSpec):
    """Expand, depthwise, squeeze-excitation, project (paper, section 4, after MnasNet's)."""

    in_channels: int = knobs.like(InvertedResidualSpec, "in_channels", 32, paper=None)
    width: int = knobs.like(InvertedResidualSpec, "width", 32, paper=None)
    activation: str = knobs.like(InvertedResidualSpec, "activation", "silu")
    attention: str = knob(
        "se", choices=knobs.ATTENTION_NAMES, paper="se",
        help="What weighs the channels, or gathers from other positions, after the depthwise convolution.",
    )  # fmt: skip
    squeeze: int = knob(
        0, low=0, high=16_384, step=8, paper=0,
        help="Squeeze-excitation: channels inside; 0 takes a quarter of the block's input channels.",
    )  # fmt: skip
    squeeze_activation: str = knobs.activation("silu", help="Non-linearity inside it.")
    gate: str = knobs.gate("sigmoid")


class FusedMBConvSpec(InvertedResidualSpec):
    """A k×k convolution in place of the expansion and the depthwise one (paper, figure 2)."""

    in_channels: int = knobs.like(InvertedResidualSpec, "in_channels", 32, paper=None)
    width: int = knobs.like(InvertedResidualSpec, "width", 32, paper=None)
    expansion: float = knobs.like(InvertedResidualSpec, "expansion", 4.0)
    activation: str = knobs.activation("silu", help="Non-linearity of the first.")


class MBConv(MobileBlock):
    """`block`: the parts in a row, under torchvision's names."""

    def __init__(self, spec: MBConvSpec) -> None:
        super().__init__(spec.adds, spec.drop_path)
        self.block = sequence(grouped(depthwise_parts(spec, excitation(spec))))

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x, self.block(x))


class FusedMBConv(MobileBlock):
    """`block`: the k×k convolution, attention and projection; without expansion one convolution is all."""

    def __init__(self, spec: FusedMBConvSpec) -> None:
        super().__init__(spec.adds, spec.drop_path)
        self.block = sequence(grouped(fused_parts(spec)))

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x, self.block(x))


def excitation(spec: MBConvSpec) -> nn.Module | None:
    """The attention; a squeeze-excitation counts its channels from the block's input, not from the expanded map."""
    if spec.attention != "se" or spec.attention_reduction:
        return weighing(spec, spec.inner)
    squeeze = spec.squeeze or max(1, spec.in_channels // 4)
    return attention("se", spec.inner, squeeze=squeeze, activation=spec.squeeze_activation, gate=spec.gate)


def fused_parts(spec: FusedMBConvSpec) -> Parts:
    """The k×k convolution, attention and, where the channels grow inside, the projection."""
    grows = spec.inner != spec.in_channels
    width = spec.inner if grows else spec.width
    parts = [convolution(spec.in_channels, width, spec.kernel, spec.norm, spec.activation, spec.stride)]
    if (weigh := weighing(spec, width)) is not None:
        parts.append([weigh])
    if grows:
        parts.append(convolution(width, spec.width, 1, spec.norm, spec.projection_activation))
    return parts


register(
    Block(
        name="mbconv",
        title="MBConv",
        paper=PAPER,
        summary="An inverted residual that weighs its inner channels: the unit that EfficientNet scales.",
        spec=MBConvSpec,
        builder=MBConv,
        input_size=(32, 56, 56),
    )
)
register(
    Block(
        name="fused_mbconv",
        title="Fused-MBConv",
        paper=FUSED_PAPER,
        summary="One full convolution for the first two of an MBConv: more work, yet faster on large maps.",
        spec=FusedMBConvSpec,
        builder=FusedMBConv,
        input_size=(32, 56, 56),
    )
)
