"""MobileNet v1 (2017): a plain row of depthwise separable convolutions; strides halve the map, nothing is skipped."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.blocks.attention import AttentionKnobs, start_attention
from models.blocks.depthwise_separable import PAPER, DepthwiseSeparable, DepthwiseSeparableSpec
from models.blocks.inverted_residual import convolution, scaled
from models.layers import global_pool, initialise
from models.registry import Architecture, Preset, register
from models.spec import ACTIVATIONS, NORMS, POOLS, NetSpec, knob


class MobileNetV1Spec(AttentionKnobs, NetSpec):
    """The paper's table 1, its layers grouped by the side of their map; attention ends each block.

    The resolution multiplier ρ (section 3.4) is the knob image_size: 224 · ρ.
    """

    per_stage = ("depths", "widths", "strides")

    depths: tuple[int, ...] = knob(
        (1, 2, 2, 6, 2), low=1, high=16, step=1, length=(1, 6), help="Blocks per stage.", paper=(1, 2, 2, 6, 2)
    )
    widths: tuple[int, ...] = knob(
        (64, 128, 256, 512, 1024), low=8, high=2048, step=8, length=(1, 6), help="Channels of each stage.",
        paper=(64, 128, 256, 512, 1024),
    )  # fmt: skip
    strides: tuple[int, ...] = knob(
        (1, 2, 2, 2, 2), low=1, high=4, step=1, length=(1, 6), help="Stride of each stage's first block.",
        paper=(1, 2, 2, 2, 2),
    )  # fmt: skip
    width_multiplier: float = knob(
        1.0, low=0.25, high=2.0, step=0.05, help="Thins or widens every layer, in steps of 8 channels (α).", paper=1.0
    )
    kernel: int = knob(3, choices=(1, 3, 5, 7), help="Side of every window wider than one pixel.", paper=3)
    activation: str = knob("relu", choices=ACTIVATIONS, help="Non-linearity of every convolution.", paper="relu")
    norm: str = knob("batch", choices=NORMS, help="Normalisation of every convolution.", paper="batch")
    stem_width: int = knob(32, low=8, high=512, step=8, help="Channels of the first convolution.", paper=32)
    stem_stride: int = knob(2, low=1, high=4, step=1, help="Stride of the first convolution.", paper=2)
    head_pool: str = knob("average", choices=POOLS, help="Global pooling before the linear layer.", paper="average")
    dropout: float = knob(0.0, low=0.0, high=0.9, step=0.05, help="Share of features dropped in training.", paper=0.0)


class MobileNetV1(nn.Module):
    """Stem and blocks in `features`, global pool, linear layer."""

    def __init__(self, spec: MobileNetV1Spec) -> None:
        super().__init__()
        channels = scaled(spec.stem_width, spec.width_multiplier)
        stem = convolution(spec.in_channels, channels, spec.kernel, spec.norm, spec.activation, spec.stem_stride)
        blocks = block_specs(spec, channels)
        self.features = nn.Sequential(nn.Sequential(*stem), *map(DepthwiseSeparable, blocks))
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
        self.fc = nn.Linear(blocks[-1].width, spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(self.features(x)), 1)
        return self.fc(x if self.dropout is None else self.dropout(x))


def block_specs(spec: MobileNetV1Spec, channels: int) -> list[DepthwiseSeparableSpec]:
    """The Spec of every block in order; the first of a stage carries its stride and change of channels."""
    found: list[DepthwiseSeparableSpec] = []
    for depth, full_width, stride in zip(spec.depths, spec.widths, spec.strides, strict=True):
        for index in range(depth):
            block = DepthwiseSeparableSpec(
                in_channels=channels, width=scaled(full_width, spec.width_multiplier), kernel=spec.kernel,
                stride=1 if index else stride, activation=spec.activation, norm=spec.norm,
                attention=spec.attention, attention_reduction=spec.attention_reduction,
            )  # fmt: skip
            found.append(block)
            channels = block.width
    return found


def _presets() -> dict[str, Preset]:
    mini = MobileNetV1Spec(
        num_classes=12, image_size=64, depths=(1, 2, 3, 2), widths=(32, 64, 128, 256), strides=(1, 2, 2, 2),
        stem_width=16,
    )  # fmt: skip
    return {"mobilenet_v1": Preset(MobileNetV1Spec()), "mobilenet_v1_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="mobilenet_v1",
        title="MobileNet v1",
        year=2017,
        paper=PAPER,
        summary="Every 3×3 convolution is split into filtering each channel and mixing channels: a ninth of the work.",
        spec=MobileNetV1Spec,
        builder=MobileNetV1,
        presets=_presets(),
    )
)
