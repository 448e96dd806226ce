"""The plan that LeNet-5, AlexNet and ZFNet share: convolutions with pools between, then linear layers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from models.blocks.conv_norm_act import ConvNormActSpec, conv_norm_act_layers
from models.layers import global_pool, initialise, linear_layers, local_response_norm, pool
from models.spec import ACTIVATIONS, NORMS, POOLS, NetSpec, knob

LAYERS = (1, 6)
KERNELS = (1, 3, 5, 7, 9, 11)


def widths(default: tuple[int, ...], step: int = 8, **options: Any) -> Any:
    """Knob: output channels of each convolution."""
    return knob(
        default, low=step, high=1024, step=step, length=LAYERS, help="Output channels per convolution.", **options
    )


def kernels(default: tuple[int, ...], **options: Any) -> Any:
    """Knob: window of each convolution."""
    return knob(
        default,
        choices=KERNELS,
        length=LAYERS,
        unit="px",
        help="Side of the window per convolution.",
        **options,
    )


def strides(default: tuple[int, ...], **options: Any) -> Any:
    """Knob: step of each convolution."""
    return knob(
        default,
        low=1,
        high=4,
        step=1,
        length=LAYERS,
        unit="px",
        help="Step of the window per convolution.",
        **options,
    )


def paddings(default: tuple[int, ...], **options: Any) -> Any:
    """Knob: zeros around the input of each convolution."""
    return knob(
        default,
        low=0,
        high=5,
        step=1,
        length=LAYERS,
        unit="px",
        help="Zeros at each border per convolution.",
        **options,
    )


def groups(default: tuple[int, ...], choices: tuple[int, ...] = (1, 2, 4, 8), **options: Any) -> Any:
    """Knob: groups of each convolution; the choices divide the steps of the widths."""
    return knob(
        default,
        choices=choices,
        length=LAYERS,
        help="Groups of channels per convolution, blind to each other.",
        **options,
    )


def pools(default: tuple[str, ...], **options: Any) -> Any:
    """Knob: pooling after each convolution."""
    return knob(default, choices=("none", *POOLS), length=LAYERS, help="Pooling after each convolution.", **options)


def fc_widths(default: tuple[int, ...], **options: Any) -> Any:
    """Knob: hidden linear layers of the head."""
    return knob(
        default,
        low=2,
        high=8192,
        step=2,
        length=(0, 3),
        help="Widths of the hidden linear layers.",
        **options,
    )


class ConvStackSpec(NetSpec):
    """Knobs per layer are tuples of one entry per convolution; the families set the defaults."""

    per_stage = ("widths", "kernels", "strides", "paddings", "groups", "pools")

    widths: tuple[int, ...] = widths((96, 256, 384, 384, 256))
    kernels: tuple[int, ...] = kernels((11, 5, 3, 3, 3))
    strides: tuple[int, ...] = strides((4, 1, 1, 1, 1))
    paddings: tuple[int, ...] = paddings((2, 2, 1, 1, 1))
    groups: tuple[int, ...] = groups((1, 1, 1, 1, 1))
    activation: str = knob(
        "relu", choices=ACTIVATIONS, help="Non-linearity after each layer but the last.", paper="relu"
    )
    norm: str = knob(
        "lrn",
        choices=(*NORMS, "lrn"),
        help="Normalisation; lrn divides by the neighbouring channels' energy.",
        paper="lrn",
    )
    norm_layers: int = knob(
        2, low=0, high=6, step=1, help="How many of the first convolutions are normalised.", paper=2
    )
    lrn_size: int = knob(5, low=1, high=15, step=2, help="Neighbouring channels that lrn sums over.", paper=5)
    lrn_after_pool: bool = knob(False, choices=(False, True), help="Whether lrn follows the pool or comes before it.")
    pools: tuple[str, ...] = pools(("max", "max", "none", "none", "max"))
    pool_kernel: int = knob(3, low=1, high=5, step=1, unit="px", help="Side of the pools' window.", paper=3)
    pool_stride: int = knob(
        2, low=1, high=3, step=1, unit="px", help="Step of the pools; less than the side overlaps.", paper=2
    )
    pool_ceil: bool = knob(False, choices=(False, True), help="Whether a pool's last window may reach over the border.")
    head: str = knob(
        "fc",
        choices=("fc", "gap"),
        help="Hidden linear layers on the map, or global pooling (gap) and none.",
        paper="fc",
    )
    head_size: int = knob(
        6,
        low=1,
        high=14,
        step=1,
        unit="px",
        help="Side of the map that the first linear layer reads.",
        paper=6,
    )
    fc_widths: tuple[int, ...] = fc_widths((4096, 4096))
    dropout: float = knob(
        0.5, low=0.0, high=0.9, step=0.05, help="Share of hidden units dropped in training.", paper=0.5
    )

    def check(self) -> None:
        super().check()
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
        gap = spec.head == "gap"
        size = 1 if gap else spec.head_size
        self.avgpool = global_pool("average", size)
        self.classifier = linear_layers(
            spec.widths[-1] * size**2,
            () if gap else spec.fc_widths,
            spec.num_classes,
            spec.activation,
            spec.dropout,
        )
        initialise(self, linear_std=None)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


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
