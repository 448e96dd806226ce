"""Convolution, normalisation and activation: the layer that every later network repeats."""

from __future__ import annotations

from torch import nn

from models import knobs
from models.layers import activation, conv, norm
from models.registry import Block, Paper, register
from models.spec import Spec, knob

ORDERS = ("conv-norm-act", "conv-act-norm", "norm-act-conv")

PAPER = Paper(
    "S. Ioffe, C. Szegedy",
    "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
    "ICML 2015",
    "https://arxiv.org/abs/1502.03167",
)


class ConvNormActSpec(Spec):
    """The paper normalises between convolution and activation (section 3.2)."""

    in_channels: int = knobs.in_channels(64, high=2048)
    width: int = knobs.width(64, high=2048)
    kernel: int = knob(3, low=1, high=11, step=1, unit="px", help="Side of the window.")
    stride: int = knob(1, low=1, high=4, step=1, unit="px", help="Step of the window: 2 halves the map.")
    padding: int = knob(1, low=0, high=5, step=1, unit="px", help="Zeros added at each border.")
    dilation: int = knob(1, low=1, high=4, step=1, unit="px", help="Distance between samples.")
    groups: int = knob(1, low=1, high=64, step=1, help="Independent groups of channels: g groups cost 1/g.")
    norm: str = knobs.norm("batch", help="Normalisation of the map.")
    activation: str = knobs.activation("relu", help="Non-linearity.", paper=None)
    order: str = knob("conv-norm-act", choices=ORDERS, help="Order of the three.", paper="conv-norm-act")

    def check(self) -> None:
        for name in ("in_channels", "width"):
            if getattr(self, name) % self.groups:
                self.refuse(name, "groups", why="each group needs the same number of channels")


def conv_norm_act_layers(spec: ConvNormActSpec) -> list[nn.Module]:
    """The layers in order, for a flat Sequential; norm "none" leaves the normalisation out."""
    before = spec.order == "norm-act-conv"
    normalise = [norm(spec.norm, spec.in_channels if before else spec.width)] if spec.norm != "none" else []
    # A normalisation per channel that follows the convolution takes the mean away, and with it any bias.
    bias = spec.norm not in ("batch", "instance") or spec.order != "conv-norm-act"
    parts: dict[str, list[nn.Module]] = {
        "conv": [
            conv(
                spec.in_channels, spec.width, spec.kernel, spec.stride, spec.padding,
                spec.groups, spec.dilation, bias,
            )
        ],
        "norm": normalise,
        "act": [activation(spec.activation)],
    }  # fmt: skip
    return [layer for part in spec.order.split("-") for layer in parts[part]]


register(
    Block(
        name="conv_norm_act",
        title="Convolution, normalisation, activation",
        paper=PAPER,
        summary="The normalisation keeps each channel's mean and variance, so that deep stacks train fast.",
        spec=ConvNormActSpec,
        builder=lambda spec: nn.Sequential(*conv_norm_act_layers(spec)),
    )
)
