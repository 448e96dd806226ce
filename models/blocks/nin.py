"""The mlpconv block of Network in Network: a convolution, then 1×1 convolutions that act as an MLP at each pixel."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from models import knobs
from models.layers import activation, conv, norm
from models.registry import Block, Paper, register
from models.spec import Spec, knob

PAPER = Paper("M. Lin, Q. Chen, S. Yan", "Network In Network", "ICLR 2014", "https://arxiv.org/abs/1312.4400")


class NiNBlockSpec(Spec):
    """`mlp_widths` are the 1×1 convolutions' channels (paper, section 3.1: two of them)."""

    in_channels: int = knobs.in_channels(64, high=2048)
    width: int = knob(128, low=2, high=2048, step=2, help="Output channels of the first convolution.")
    kernel: int = knob(3, choices=(1, 3, 5, 7, 9, 11), unit="px", help="Side of the first window.")
    stride: int = knob(1, low=1, high=4, step=1, unit="px", help="Step of the first window.")
    padding: int = knob(1, low=0, high=5, step=1, unit="px", help="Zeros at each border.")
    mlp_widths: tuple[int, ...] = knob(
        (128, 128), low=1, high=21_841, step=2, length=(0, 4), help="Output channels of each 1×1 convolution."
    )
    norm: str = knobs.norm("none")
    activation: str = knobs.activation("relu", help="Non-linearity between layers.")
    last_activation: str = knobs.activation("relu", help="Non-linearity after the last.")


def nin_layers(spec: NiNBlockSpec) -> list[nn.Module]:
    """The block's layers in order, for a flat Sequential."""
    widths = (spec.in_channels, spec.width, *spec.mlp_widths)
    layers: list[nn.Module] = []
    for index, (channels, width) in enumerate(pairwise(widths)):
        window = (spec.kernel, spec.stride, spec.padding) if index == 0 else (1, 1, 0)
        layers.append(conv(channels, width, *window))
        if spec.norm != "none":
            layers.append(norm(spec.norm, width))
        last = index == len(spec.mlp_widths)
        layers.append(activation(spec.last_activation if last else spec.activation))
    return layers


def fit(in_channels: int, width: int, stride: int) -> NiNBlockSpec:
    """The block in a slot of a network: all its convolutions as wide as the slot."""
    widths = {"width": width, "mlp_widths": (width, width)}
    return NiNBlockSpec.parse({"in_channels": in_channels, "stride": stride, **widths})


register(
    Block(
        name="nin",
        title="Network-in-network block",
        paper=PAPER,
        summary="1×1 convolutions mix the channels at each pixel and make each filter a small non-linear network.",
        spec=NiNBlockSpec,
        builder=lambda spec: nn.Sequential(*nin_layers(spec)),
        adapter=fit,
    )
)
