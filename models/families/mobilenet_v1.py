"""MobileNet v1 (2017): a plain row of depthwise separable convolutions; strides halve the map, nothing is skipped."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.depthwise_separable import PAPER, DepthwiseSeparable, DepthwiseSeparableSpec
from models.blocks.inverted_residual import convolution, scaled
from models.layers import global_pool, initialise
from models.registry import Architecture, Preset, register
from models.spec import NetSpec


class MobileNetV1Spec(knobs.AttentionKnobs, NetSpec):
    """The paper's table 1, its layers grouped by the side of their map; attention ends each block.

    The resolution multiplier ρ (section 3.4) is the knob image_size: 224 · ρ.
    """

    per_stage = ("depths", "widths", "strides")

    depths: tuple[int, ...] = knobs.depths((1, 2, 2, 6, 2), high=16)
    widths: tuple[int, ...] = knobs.widths((64, 128, 256, 512, 1024))
    strides: tuple[int, ...] = knobs.strides((1, 2, 2, 2, 2))
    width_multiplier: float = knobs.width_multiplier(1.0)
    kernel: int = knobs.kernel(3)
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    stem_width: int = knobs.stem_width(32)
    stem_stride: int = knobs.stem_stride(2)
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.0)


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
