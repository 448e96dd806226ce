"""The VGG block: convolutions that keep the size, then a pool that shrinks it."""

from __future__ import annotations

from torch import nn

from models import knobs
from models.layers import activation, conv, norm, pool
from models.registry import Block, Paper, register
from models.spec import Spec, knob

PAPER = Paper(
    "K. Simonyan, A. Zisserman",
    "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    "ICLR 2015",
    "https://arxiv.org/abs/1409.1556",
)


class VGGBlockSpec(Spec):
    """`depth` convolutions of `width` channels each, and a pool (paper, table 1)."""

    in_channels: int = knobs.in_channels(64, high=2048)
    depth: int = knob(2, low=1, high=8, step=1, help="Convolutions before the pool.", paper=2)
    width: int = knob(128, low=1, high=2048, step=8, help="Output channels of each convolution.")
    kernel: int = knobs.kernel(3, help="Side of every convolution's window.")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("none")
    pool: str = knobs.pool("max", help="How each stage shrinks the map.")
    stride: int = knobs.pool_window(2)


def vgg_layers(spec: VGGBlockSpec) -> list[nn.Module]:
    """The block's layers in order, for a flat `features` Sequential as torchvision names it."""
    layers: list[nn.Module] = []
    channels = spec.in_channels
    for _ in range(spec.depth):
        layers.append(conv(channels, spec.width, spec.kernel))
        if spec.norm != "none":
            layers.append(norm(spec.norm, spec.width))
        layers.append(activation(spec.activation))
        channels = spec.width
    return layers if spec.stride == 1 else [*layers, pool(spec.pool, spec.stride, spec.stride)]


register(
    Block(
        name="vgg",
        title="VGG block",
        paper=PAPER,
        summary="A stack of 3×3 convolutions sees as far as one large kernel, with fewer weights; a pool halves it.",
        spec=VGGBlockSpec,
        builder=lambda spec: nn.Sequential(*vgg_layers(spec)),
    )
)
