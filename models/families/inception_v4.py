"""Inception v4 (2016): the modules of v3, each wider and more alike, and a stem that branches too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.inception_v3 import (
    InceptionA,
    InceptionASpec,
    InceptionB,
    InceptionBSpec,
    InceptionC,
    InceptionCSpec,
    InceptionD,
    InceptionDSpec,
    InceptionE,
    InceptionESpec,
)
from models.blocks.mixed import Mixed, MixedSpec, unit
from models.layers import global_pool, initialise, pool
from models.registry import Architecture, Paper, Preset, register
from models.spec import NetSpec, knob

PAPER = Paper(
    "C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi",
    "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    "AAAI 2017",
    "https://arxiv.org/abs/1602.07261",
)

# Channels of the modules' branches: the paper's figures 4 to 8.
A = {"conv1": 96, "reduce5": 64, "conv5": 96, "kernel5": 3, "reduce3": 64, "conv3": 96, "pool_conv": 96}
B = {"conv3": 384, "reduce_double": 192, "mid_double": 224, "conv_double": 256}
C = {"conv1": 384, "inner7": 192, "mid7": 224, "conv7": 256, "pool_conv": 128}
D = {"reduce3": 192, "conv3": 192, "inner7": 256, "mid7": 320, "conv7": 320}
E = {
    "conv1": 256, "reduce3": 384, "split3": 256, "reduce_double": 384, "mid_double": 448, "conv_double": 512,
    "factorised": True, "split_double": 256, "pool_conv": 256,
}  # fmt: skip


class InceptionV4Spec(NetSpec):
    """Figure 9 of the paper: stem, 4 × A, reduction, 7 × B, reduction, 3 × C (here A, C and E as v3 calls them)."""

    image_size: int = knobs.image_size(299, step=1)
    width_factor: float = knobs.width_factor(1.0)
    depths: tuple[int, ...] = knob(
        (4, 7, 3), low=1, high=24, step=1, length=(3, 3), help="Modules per stage.", paper=(4, 7, 3)
    )
    stem_stride: int = knobs.stem_stride(2)
    second_stride: int = knob(2, low=1, high=4, step=1, help="Stride of the stem's first branching.", paper=2)
    third_stride: int = knob(2, low=1, high=4, step=1, help="Stride of the stem's last branching.", paper=2)
    padding: int = knobs.open_padding(0)
    pool: str = knobs.pool("max")
    branch_pool: str = knobs.module_pool("average")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.2)


class InceptionV4(nn.Module):
    """`stem`, `modules_a`, `reduction_a`, `modules_b`, `reduction_b`, `modules_c`, global pool, linear layer."""

    def __init__(self, spec: InceptionV4Spec) -> None:
        super().__init__()
        first, second, third = spec.depths
        self.stem = stem(spec)
        channels = 2 * scaled(spec, 96) + scaled(spec, 192)  # both branches of the stem's last branching
        self.modules_a, channels = repeated(spec, InceptionA, InceptionASpec, A, first, channels)
        self.reduction_a, channels = repeated(spec, InceptionB, InceptionBSpec, B, 1, channels)
        self.modules_b, channels = repeated(spec, InceptionC, InceptionCSpec, C, second, channels)
        self.reduction_b, channels = repeated(spec, InceptionD, InceptionDSpec, D, 1, channels)
        self.modules_c, channels = repeated(spec, InceptionE, InceptionESpec, E, third, channels)
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout)
        self.fc = nn.Linear(channels, spec.num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduction_a(self.modules_a(self.stem(x)))
        x = self.modules_c(self.reduction_b(self.modules_b(x)))
        return self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))


def scaled(spec: InceptionV4Spec, width: int) -> int:
    """A width times the network's factor."""
    return max(1, round(width * spec.width_factor))


def stem(spec: InceptionV4Spec) -> nn.Sequential:
    """Figure 3 of the paper: three convolutions, then three times two branches, concatenated."""
    shared = MixedSpec(activation=spec.activation, norm=spec.norm)
    pad, (narrow, mid, wide, last) = spec.padding, (scaled(spec, width) for width in (32, 64, 96, 192))
    return nn.Sequential(
        unit(shared, spec.in_channels, narrow, 3, spec.stem_stride, pad),
        unit(shared, narrow, narrow, 3, padding=pad),
        unit(shared, narrow, mid, 3),
        Mixed(
            [("pool", pool(spec.pool, 3, spec.second_stride, pad))],
            [("conv", unit(shared, mid, wide, 3, spec.second_stride, pad))],
        ),
        Mixed(
            [("short_1", unit(shared, mid + wide, mid)), ("short_2", unit(shared, mid, wide, 3, padding=pad))],
            [
                ("long_1", unit(shared, mid + wide, mid)),
                ("long_2", unit(shared, mid, mid, (1, 7))),
                ("long_3", unit(shared, mid, mid, (7, 1))),
                ("long_4", unit(shared, mid, wide, 3, padding=pad)),
            ],
        ),
        Mixed(
            [("conv", unit(shared, 2 * wide, last, 3, spec.third_stride, pad))],
            [("pool", pool(spec.pool, 3, spec.third_stride, pad))],
        ),
    )


def module_spec(spec: InceptionV4Spec, kind: type[MixedSpec], in_channels: int, widths: dict[str, int]) -> MixedSpec:
    """One module's own Spec, its widths times the network's factor."""
    own = kind.knobs()
    values: dict[str, Any] = {n: scaled(spec, v) if own[n].step == 8 else v for n, v in widths.items()}
    values |= {"in_channels": in_channels, "activation": spec.activation, "norm": spec.norm}
    if "padding" in own:
        return kind.parse({**values, "padding": spec.padding, "branch_pool": spec.pool})
    return kind.parse({**values, "branch_pool": spec.branch_pool, "count_padding": False})


def repeated(
    spec: InceptionV4Spec, builder: Any, kind: type[MixedSpec], widths: dict[str, int], depth: int, in_channels: int
) -> tuple[nn.Sequential, int]:
    """`depth` equal modules in a row, and the channels that leave the last."""
    modules = []
    for _ in range(depth):
        block = module_spec(spec, kind, in_channels, widths)
        modules.append(builder(block))
        in_channels = block.out_channels
    return nn.Sequential(*modules), in_channels


def _presets() -> dict[str, Preset]:
    mini = InceptionV4Spec(
        num_classes=12, image_size=64, width_factor=0.125, depths=(1, 1, 1), second_stride=1, padding=1
    )
    return {"inception_v4": Preset(InceptionV4Spec()), "inception_v4_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="inception_v4",
        title="Inception v4",
        year=2016,
        paper=PAPER,
        summary="Fourteen Inception modules in three uniform stages, on a stem that branches from the start.",
        spec=InceptionV4Spec,
        builder=InceptionV4,
        presets=_presets(),
    )
)
