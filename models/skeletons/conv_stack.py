"""The plan that LeNet-5, AlexNet and ZFNet share: convolutions with pools between, then linear layers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.conv_norm_act import ConvNormActSpec, conv_norm_act_layers
from models.layers import global_pool, initialise, linear_layers, local_response_norm, pool
from models.spec import NetSpec, knob

LAYERS = (1, 6)


class ConvStackSpec(NetSpec):
    """Knobs per layer are tuples of one entry per convolution; the families set the defaults."""

    per_stage = ("widths", "kernels", "strides", "paddings", "groups", "pools")

    widths: tuple[int, ...] = knob(
        (96, 256, 384, 384, 256), low=8, high=1024, step=8, length=LAYERS, help="Output channels per convolution."
    )
    kernels: tuple[int, ...] = knob(
        (11, 5, 3, 3, 3), choices=knobs.WIDE_SIDES, length=LAYERS, unit="px", help="Side of the window per convolution."
    )
    strides: tuple[int, ...] = knob(
        (4, 1, 1, 1, 1), low=1, high=4, step=1, length=LAYERS, unit="px", help="Step of the window per convolution."
    )
    paddings: tuple[int, ...] = knob(
        (2, 2, 1, 1, 1), low=0, high=5, step=1, length=LAYERS, unit="px", help="Zeros at each border per convolution."
    )
    groups: tuple[int, ...] = knob(
        (1, 1, 1, 1, 1), choices=(1, 2, 4, 8), length=LAYERS,
        help="Groups of channels per convolution, blind to each other.",
    )  # fmt: skip
    activation: str = knobs.activation("relu", help="Non-linearity after each layer but the last.")
    norm: str = knob(
        "lrn", choices=(*knobs.NORM_NAMES, "lrn"), paper="lrn",
        help="Normalisation; lrn divides by the neighbouring channels' energy.",
    )  # fmt: skip
    norm_layers: int = knob(
        2,
        low=0,
        high=6,
        step=1,
        help="How many of the first convolutions are normalised.",
        paper=2,
        needs={"norm": (*knobs.NORM_NAMES[1:], "lrn")},
    )
    lrn_size: int = knob(5, low=1, high=15, step=2, help="Neighbouring channels that lrn sums over.", paper=5,
                         needs={"norm": ("lrn",)})  # fmt: skip
    lrn_after_pool: bool = knob(False, choices=(False, True), help="Whether lrn follows the pool or comes before it.",
                                needs={"norm": ("lrn",)})  # fmt: skip
    pools: tuple[str, ...] = knob(
        ("max", "max", "none", "none", "max"), choices=("none", *knobs.POOL_NAMES), length=LAYERS,
        help="Pooling after each convolution.",
    )  # fmt: skip
    pool_kernel: int = knobs.pool_kernel(3)
    pool_stride: int = knobs.pool_stride(2)
    pool_ceil: bool = knobs.pool_ceil(False, paper=None)
    head: str = knobs.head("fc")
    head_size: int = knobs.head_size(6)
    fc_widths: tuple[int, ...] = knobs.fc_widths((4096, 4096), paper=None)
    dropout: float = knobs.hidden_dropout(0.5)

    def check(self) -> None:
        channels = (self.in_channels, *self.widths)
        for (before, after), count in zip(pairwise(channels), self.groups, strict=True):
            if before % count or after % count:
                why = f"{before} → {after} channels do not divide into {count} groups"
                self.refuse("in_channels", "widths", "groups", why=why)


class ConvStack(nn.Module):
    """Convolutions (`features`), pooling to `head_size` (`avgpool`), linear layers (`classifier`)."""

    def __init__(self, spec: ConvStackSpec) -> None:
        super().__init__()
        self.features = nn.Sequential(*(layer for i in range(len(spec.widths)) for layer in stack_layers(spec, i)))
        self.avgpool = global_pool("average", side_px(spec))
        self.classifier = classifier(spec)
        initialise(self, linear_std=None)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def side_px(spec: ConvStackSpec) -> int:
    """Side of the map that the head reads."""
    return 1 if spec.head == "gap" else spec.head_size


def classifier(spec: ConvStackSpec) -> nn.Sequential:
    """The linear layers on the flattened map; after global pooling there is one."""
    hidden = () if spec.head == "gap" else spec.fc_widths
    return linear_layers(spec.widths[-1] * side_px(spec) ** 2, hidden, spec.num_classes, spec.activation, spec.dropout)


def stack_layers(spec: ConvStackSpec, index: int) -> list[nn.Module]:
    """Convolution `index` with its normalisation, activation and pool; lrn comes after the activation."""
    kind = spec.norm if index < spec.norm_layers else "none"
    block = ConvNormActSpec(
        in_channels=(spec.in_channels, *spec.widths)[index],
        width=spec.widths[index],
        kernel=spec.kernels[index],
        stride=spec.strides[index],
        padding=spec.paddings[index],
        groups=spec.groups[index],
        norm="none" if kind == "lrn" else kind,
        activation=spec.activation,
    )
    lrn = [local_response_norm(spec.lrn_size)] if kind == "lrn" else []
    name = spec.pools[index]
    pooling = [pool(name, spec.pool_kernel, spec.pool_stride, ceil_mode=spec.pool_ceil)] if name != "none" else []
    tail = pooling + lrn if spec.lrn_after_pool else lrn + pooling
    return conv_norm_act_layers(block) + tail
