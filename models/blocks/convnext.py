"""The ConvNeXt block: a wide depthwise convolution, then a small MLP at each pixel, added to the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import attention, start_attention
from models.layers import Add, Permute, Scale, StochasticDepth, activation, conv, norm, sequence
from models.meta import is_unfilled, layer
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell, S. Xie",
    "A ConvNet for the 2020s",
    "CVPR 2022",
    "https://arxiv.org/abs/2201.03545",
)
NORM_EPS = 1e-6


class ConvNeXtBlockSpec(knobs.AttentionKnobs):
    """Figure 4 of the paper; a block keeps the shape of its input."""

    in_channels: int = knobs.kept_channels(96)
    kernel: int = knobs.depthwise_kernel(7, choices=(1, 3, 5, 7, 9, 11), unit="px")
    expansion: float = knob(4.0, low=0.25, high=8.0, step=0.25, help="Hidden over outer channels.", paper=4.0)
    layer_scale: float = knob(
        1e-6, low=0.0, high=1.0, paper=1e-6,
        help="First value of the factors, one per channel, on the learned change; 0 leaves them out.",
    )  # fmt: skip
    norms: str = knob(
        "one", choices=("one", "all"), paper="one",
        help="A normalisation after the depthwise convolution only, or after each of the three, as in a ResNet.",
    )  # fmt: skip
    activations: str = knob(
        "one", choices=("one", "all"), paper="one",
        help="A non-linearity between the two linear layers only, or after each convolution and the add too, as in a "
        "ResNet.",
    )  # fmt: skip
    drop_path: float = knobs.block_drop_path(0.0, paper=None)
    activation: str = knobs.activation("gelu", help="The one non-linearity of a block.")
    norm: str = knobs.norm("channel_layer", help="The one normalisation of the block.")

    @property
    def hidden(self) -> int:
        """Channels between the two linear layers."""
        return max(1, round(self.in_channels * self.expansion))

    @property
    def out_channels(self) -> int:
        """Channels that leave the block."""
        return self.in_channels


class ConvNeXtBlock(nn.Module):
    """x + drop(layer_scale · MLP(norm(depthwise x))), under torchvision's names; the MLP works with channels last.

    With a `width` or `stride` the block brings them itself, as a ResNet's does, and a strided 1×1 convolution projects
    what is added.
    """

    def __init__(self, spec: ConvNeXtBlockSpec, width: int | None = None, stride: int = 1) -> None:
        super().__init__()
        channels = width or spec.in_channels
        self.block = branch(spec, channels, stride)
        self.attention = attention(spec.attention, channels, spec.attention_reduction)
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), spec.layer_scale)) if spec.layer_scale else None
        self.scale = Scale() if spec.layer_scale else None
        self.stochastic_depth = StochasticDepth(spec.drop_path)
        changes = channels != spec.in_channels or stride > 1
        self.projection = projection(spec, channels, stride) if changes else None
        self.add = Add()
        self.act = activation(spec.activation) if spec.activations == "all" else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.attention(self.block(x))
        if self.scale is not None:
            out = self.scale(out, self.layer_scale)
        out = self.add(self.stochastic_depth(out), x if self.projection is None else self.projection(x))
        return out if self.act is None else self.act(out)


def branch(spec: ConvNeXtBlockSpec, width: int, stride: int) -> nn.Sequential:
    """Depthwise convolution, norm, and the two linear layers; these are 1×1 convolutions where each has a norm."""
    channels, hidden = spec.in_channels, spec.replace(in_channels=width).hidden
    acts = [activation(spec.activation)] if spec.activations == "all" else []
    if spec.norms == "all":
        bias = spec.norm == "none"
        return sequence(
            [conv(channels, channels, spec.kernel, stride, groups=channels, bias=bias), norm(spec.norm, channels)],
            acts,
            [conv(channels, hidden, 1, bias=bias), norm(spec.norm, hidden), activation(spec.activation)],
            [conv(hidden, width, 1, bias=bias), norm(spec.norm, width)],
        )
    last, first = Permute(0, 2, 3, 1), Permute(0, 3, 1, 2)
    normalise = [norm(spec.norm, channels), last]
    if spec.norm == "channel_layer":
        normalise = [last, layer(nn.LayerNorm, channels, NORM_EPS)]
    return sequence(
        conv(channels, channels, spec.kernel, stride, groups=channels),
        normalise,
        acts,
        layer(nn.Linear, channels, hidden),
        activation(spec.activation),
        layer(nn.Linear, hidden, width),
        first,
    )


def projection(spec: ConvNeXtBlockSpec, width: int, stride: int) -> nn.Sequential:
    """What a block that changes the shape adds to its branch (He et al. 2016, option B)."""
    bias = spec.norm == "none"
    return nn.Sequential(conv(spec.in_channels, width, 1, stride, bias=bias), norm(spec.norm, width))


def downsample(kind: str, in_channels: int, out_channels: int, factor: int) -> nn.Sequential:
    """What stands between stages (paper, section 2.6): a norm, then a convolution whose windows do not overlap."""
    return nn.Sequential(norm(kind, in_channels), conv(in_channels, out_channels, factor, factor, padding=0))


def initialise(module: nn.Module) -> None:
    """Convolutions and linear layers from a normal of deviation 0.02, cut at ±2 (paper, appendix A; torchvision)."""
    if is_unfilled():
        return
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    start_attention(module)


register(
    Block(
        name="convnext",
        title="ConvNeXt block",
        paper=PAPER,
        summary="A 7×7 depthwise convolution looks around, an MLP of 4× the width mixes; one norm, one activation.",
        spec=ConvNeXtBlockSpec,
        builder=ConvNeXtBlock,
        input_size=(96, 56, 56),
    )
)
