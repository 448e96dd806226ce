"""Inception-ResNet v2 (2016): Inception modules that each add a small change to their input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.inception_resnet import (
    PAPER,
    InceptionResNetASpec,
    InceptionResNetBSpec,
    InceptionResNetCSpec,
    InceptionResNetModule,
    InceptionResNetSpec,
)
from models.blocks.inception_v3 import InceptionA, InceptionASpec, InceptionB, InceptionBSpec
from models.blocks.mixed import Mixed, ReductionSpec, strided, strided_pool, unit
from models.layers import global_pool, initialise, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob

# Channels of the branches of the first module and the first reduction: the authors' TensorFlow code, as in timm.
FIRST = {"conv1": 96, "reduce5": 48, "conv5": 64, "reduce3": 64, "conv3": 96, "pool_conv": 64}
FIRST_REDUCTION = {"conv3": 384, "reduce_double": 256, "mid_double": 256, "conv_double": 384}


class InceptionResNetV2Spec(knobs.AttentionKnobs, NetSpec):
    """Figure 15 of the paper, with the authors' code's stem (that of v3) and depths, one module of each more."""

    image_size: int = knobs.image_size(299, step=1)
    width_factor: float = knobs.width_factor(1.0)
    depths: tuple[int, ...] = knob(
        (10, 20, 10), low=1, high=40, step=1, length=(3, 3), help="Residual modules per stage.", paper=(5, 10, 5)
    )
    scales: tuple[float, ...] = knob(
        (0.17, 0.1, 0.2), low=0.05, high=1.0, step=0.01, length=(3, 3),
        help="Factor on what the modules of each stage add; the last module's is 1.",
    )  # fmt: skip
    stem_stride: int = knobs.stem_stride(2)
    stem_pools: tuple[bool, ...] = knobs.stem_pools((True, True))
    padding: int = knobs.open_padding(0)
    pool: str = knobs.pool("max")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    head_width: int = knobs.head_width(1536, help="Channels of the last 1×1, times the factor.", paper=None)
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.2)


class InceptionResNetV2(nn.Module):
    """`stem`, `mixed_5b`, `repeat`, `mixed_6a`, `repeat_1`, `mixed_7a`, `repeat_2`, `conv2d_7b`, pool, linear layer."""

    def __init__(self, spec: InceptionResNetV2Spec) -> None:
        super().__init__()
        shared = ReductionSpec(**common(spec), padding=spec.padding, branch_pool=spec.pool)
        self.stem = stem(spec, shared)
        first = InceptionASpec(
            **common(spec), in_channels=scaled(spec, 192), count_padding=False, **widths(spec, FIRST)
        )
        self.mixed_5b = InceptionA(first)
        self.repeat = residual(spec, InceptionResNetASpec, 0, first.out_channels)
        down = InceptionBSpec.parse(
            {**dict(shared), **widths(spec, FIRST_REDUCTION), "in_channels": first.out_channels}
        )
        self.mixed_6a = InceptionB(down)
        self.repeat_1 = residual(spec, InceptionResNetBSpec, 1, down.out_channels)
        self.mixed_7a, channels = last_reduction(spec, shared, down.out_channels)
        self.repeat_2 = residual(spec, InceptionResNetCSpec, 2, channels)
        self.conv2d_7b = unit(shared, channels, scaled(spec, spec.head_width))
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout)
        self.fc = nn.Linear(scaled(spec, spec.head_width), spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.repeat(self.mixed_5b(self.stem(x)))
        x = self.repeat_2(self.mixed_7a(self.repeat_1(self.mixed_6a(x))))
        return self.fc(self.dropout(torch.flatten(self.avgpool(self.conv2d_7b(x)), 1)))


def scaled(spec: InceptionResNetV2Spec, width: int) -> int:
    """A width times the network's factor."""
    return max(1, round(width * spec.width_factor))


def widths(spec: InceptionResNetV2Spec, channels: dict[str, int]) -> dict[str, Any]:
    """Widths by name, each times the network's factor."""
    return {name: scaled(spec, width) for name, width in channels.items()}


def common(spec: InceptionResNetV2Spec) -> dict[str, Any]:
    """What all convolutions share."""
    return {"activation": spec.activation, "norm": spec.norm}


def stem(spec: InceptionResNetV2Spec, shared: ReductionSpec) -> nn.Sequential:
    """The stem of Inception v3."""
    pad, (first, third, fourth, last) = spec.padding, (scaled(spec, width) for width in (32, 64, 80, 192))
    layers: list[nn.Module | None] = [
        unit(shared, spec.in_channels, first, 3, spec.stem_stride, pad),
        unit(shared, first, first, 3, padding=pad),
        unit(shared, first, third, 3),
        pool(spec.pool, 3, 2, pad) if spec.stem_pools[0] else None,
        unit(shared, third, fourth),
        unit(shared, fourth, last, 3, padding=pad),
        pool(spec.pool, 3, 2, pad) if spec.stem_pools[1] else None,
    ]
    return nn.Sequential(*(layer for layer in layers if layer is not None))


def residual(
    spec: InceptionResNetV2Spec, kind: type[InceptionResNetSpec], stage: int, in_channels: int
) -> nn.Sequential:
    """The residual modules of a stage; the network's last has scale 1 and no activation."""
    own = {name: scaled(spec, knob.default) for name, knob in kind.knobs().items() if knob.step == 8}
    attention = {"attention": spec.attention, "attention_reduction": spec.attention_reduction}
    block = kind.parse({**own, **common(spec), **attention, "in_channels": in_channels, "scale": spec.scales[stage]})
    blocks = [block] * spec.depths[stage]
    if stage == 2:
        blocks[-1] = block.replace(scale=1.0, activate=False)
    return nn.Sequential(*(InceptionResNetModule(each) for each in blocks))


def last_reduction(spec: InceptionResNetV2Spec, shared: ReductionSpec, in_channels: int) -> tuple[Mixed, int]:
    """Figure 18 of the paper: three branches of strided 3×3 and a pool; and the channels that leave."""
    narrow, wide, mid, last = (scaled(spec, width) for width in (256, 384, 288, 320))
    mixed = Mixed(
        [("branch0_0", unit(shared, in_channels, narrow)), ("branch0_1", strided(shared, narrow, wide))],
        [("branch1_0", unit(shared, in_channels, narrow)), ("branch1_1", strided(shared, narrow, mid))],
        [
            ("branch2_0", unit(shared, in_channels, narrow)),
            ("branch2_1", unit(shared, narrow, mid, 3)),
            ("branch2_2", strided(shared, mid, last)),
        ],
        [("pool", strided_pool(shared))],
    )
    return mixed, in_channels + wide + mid + last


def _presets() -> dict[str, Preset]:
    mini = InceptionResNetV2Spec(
        num_classes=12, image_size=64, width_factor=0.125, depths=(1, 2, 1), stem_pools=(False, True), padding=1
    )
    return {
        "inception_resnet_v2": Preset(InceptionResNetV2Spec()),
        "inception_resnet_v2_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="inception_resnet_v2",
        title="Inception-ResNet v2",
        year=2016,
        paper=PAPER,
        summary="Inception branches inside residual blocks; what they add is scaled down, or training breaks.",
        spec=InceptionResNetV2Spec,
        builder=InceptionResNetV2,
        presets=_presets(),
    )
)
