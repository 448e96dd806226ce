"""The ConvMixer block: a depthwise convolution mixes positions, a 1×1 convolution mixes channels."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.blocks.attention import attention
from models.layers import Add, activation, conv, norm
from models.registry import Block, Paper, register

PAPER = Paper("A. Trockman, J. Z. Kolter", "Patches Are All You Need?", "TMLR 2023", "https://arxiv.org/abs/2201.09792")
KERNELS = (1, 3, 5, 7, 9, 11, 13, 15)


class ConvMixerBlockSpec(knobs.AttentionKnobs):
    """Section 2 of the paper, eq. 2 and 3; a block keeps the shape of its input."""

    in_channels: int = knobs.kept_channels(768)
    kernel: int = knobs.depthwise_kernel(9, choices=KERNELS, unit="px")
    activation: str = knobs.activation("gelu")
    norm: str = knobs.norm("batch", help="Normalisation after each non-linearity.")

    @property
    def out_channels(self) -> int:
        """Channels that leave the block."""
        return self.in_channels


class ConvMixerBlock(nn.Module):
    """y = norm(act(depthwise x)) + x, then norm(act(pointwise y)): the norm comes last, as in the paper."""

    def __init__(self, spec: ConvMixerBlockSpec) -> None:
        super().__init__()
        channels = spec.in_channels
        self.depthwise = conv(channels, channels, spec.kernel, groups=channels)
        self.act1 = activation(spec.activation)
        self.norm1 = norm(spec.norm, channels)
        self.attention = attention(spec.attention, channels, spec.attention_reduction)
        self.add = Add()
        self.pointwise = conv(channels, channels, 1)
        self.act2 = activation(spec.activation)
        self.norm2 = norm(spec.norm, channels)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.add(self.attention(self.norm1(self.act1(self.depthwise(x)))), x)
        return self.norm2(self.act2(self.pointwise(mixed)))


register(
    Block(
        name="convmixer",
        title="ConvMixer block",
        paper=PAPER,
        summary="Positions are mixed channel by channel in wide windows, then channels position by position.",
        spec=ConvMixerBlockSpec,
        builder=ConvMixerBlock,
        input_size=(768, 28, 28),
    )
)
