"""The depthwise separable convolution: one window per channel, then a 1×1 that mixes the channels."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.blocks.inverted_residual import convolution, weighing
from models.registry import Block, Paper, register

PAPER = Paper(
    "A. G. Howard, M. Zhu, B. Chen, D. Kalenichenko, W. Wang, T. Weyand, M. Andreetto, H. Adam",
    "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    "2017",
    "https://arxiv.org/abs/1704.04861",
)


class DepthwiseSeparableSpec(knobs.AttentionKnobs):
    """k×k per channel, 1×1 across channels: 1/width + 1/k² of a full convolution's work (paper, section 3.1)."""

    in_channels: int = knobs.in_channels(32)
    width: int = knobs.width(64)
    kernel: int = knobs.depthwise_kernel(3)
    stride: int = knobs.depthwise_stride(1)
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")


class DepthwiseSeparable(nn.Module):
    """`depthwise`, `pointwise`, each normalised and activated (paper, figure 3), and attention at the end."""

    def __init__(self, spec: DepthwiseSeparableSpec) -> None:
        super().__init__()
        channels, kind, act = spec.in_channels, spec.norm, spec.activation
        depthwise = convolution(channels, channels, spec.kernel, kind, act, spec.stride, groups=channels)
        self.depthwise = nn.Sequential(*depthwise)
        self.pointwise = nn.Sequential(*convolution(channels, spec.width, 1, kind, act))
        self.attention = weighing(spec, spec.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pointwise(self.depthwise(x))
        return x if self.attention is None else self.attention(x)


register(
    Block(
        name="depthwise_separable",
        title="Depthwise separable convolution",
        paper=PAPER,
        summary="Filtering and mixing apart: a 3×3 convolution's reach for about a ninth of its work.",
        spec=DepthwiseSeparableSpec,
        builder=DepthwiseSeparable,
        input_size=(32, 56, 56),
    )
)
