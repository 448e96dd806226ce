"""MobileNet v2 (2018): inverted residuals, whose shortcuts join narrow maps and whose last convolution is linear."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.inverted_residual import (
    PAPER,
    InvertedResidualSpec,
    LinearBottleneck,
    LinearBottleneckSpec,
    convolution,
    scaled,
)
from models.layers import global_pool, initialise
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, Spec


class BottleneckStage(Spec):
    """One row of the paper's table 2: t, c, n and s."""

    expansion: float = knobs.expansion(6.0)
    width: int = knobs.stage_width(64)
    depth: int = knobs.depth(1)
    stride: int = knobs.first_stride(1)


TABLE_2: tuple[BottleneckStage, ...] = (
    BottleneckStage(expansion=1, width=16, depth=1, stride=1),
    BottleneckStage(width=24, depth=2, stride=2),
    BottleneckStage(width=32, depth=3, stride=2),
    BottleneckStage(width=64, depth=4, stride=2),
    BottleneckStage(width=96, depth=3, stride=1),
    BottleneckStage(width=160, depth=3, stride=2),
    BottleneckStage(width=320, depth=1, stride=1),
)


class MobileNetV2Spec(knobs.AttentionKnobs, NetSpec):
    """The paper's table 2; attention stands after each depthwise convolution."""

    stages: tuple[BottleneckStage, ...] = TABLE_2
    width_multiplier: float = knobs.width_multiplier(1.0)
    kernel: int = knobs.kernel(3)
    activation: str = knobs.activation("relu6")
    projection_activation: str = knobs.like(LinearBottleneckSpec, "projection_activation")
    norm: str = knobs.norm("batch")
    skip: bool = knobs.skip(True)
    drop_path: float = knobs.drop_path(0.0)
    stem_width: int = knobs.stem_width(32)
    stem_stride: int = knobs.stem_stride(2)
    head_width: int = knobs.head_width(1280, help="Channels of the last convolution; never thinned.")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.2)

    def check(self) -> None:
        if not 1 <= len(self.stages) <= 12:
            raise ValueError(f"stages has {len(self.stages)} entries; it takes 1 to 12")


class MobileNetV2(nn.Module):
    """Stem, blocks and a 1×1 convolution in `features`, global pool, `classifier`: torchvision's names."""

    def __init__(self, spec: MobileNetV2Spec) -> None:
        super().__init__()
        factor, kind, act = spec.width_multiplier, spec.norm, spec.activation
        stem = scaled(spec.stem_width, factor)
        blocks = block_specs(spec, stem)
        head = scaled(spec.head_width, max(1.0, factor))
        self.features = nn.Sequential(
            nn.Sequential(*convolution(spec.in_channels, stem, spec.kernel, kind, act, spec.stem_stride)),
            *map(LinearBottleneck, blocks),
            nn.Sequential(*convolution(blocks[-1].width, head, 1, kind, act)),
        )
        self.avgpool = global_pool(spec.head_pool)
        self.classifier = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(head, spec.num_classes))
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def block_specs(spec: MobileNetV2Spec, channels: int) -> list[InvertedResidualSpec]:
    """The Spec of every block in order; the first of a stage carries its stride and change of channels."""
    found: list[InvertedResidualSpec] = []
    last = max(1, sum(stage.depth for stage in spec.stages) - 1)
    for stage in spec.stages:
        width = scaled(stage.width, spec.width_multiplier)
        for index in range(stage.depth):
            block = InvertedResidualSpec(
                in_channels=channels, width=width, expansion=stage.expansion, kernel=spec.kernel,
                stride=1 if index else stage.stride, activation=spec.activation,
                projection_activation=spec.projection_activation, norm=spec.norm, skip=spec.skip,
                drop_path=spec.drop_path * len(found) / last,
                attention=spec.attention, attention_reduction=spec.attention_reduction,
            )  # fmt: skip
            found.append(block)
            channels = width
    return found


def _presets() -> dict[str, Preset]:
    mini = MobileNetV2Spec(
        num_classes=12, image_size=64, stem_width=16, head_width=256,
        stages=(
            BottleneckStage(expansion=1, width=16, depth=1, stride=1),
            BottleneckStage(expansion=4, width=24, depth=2, stride=2),
            BottleneckStage(expansion=4, width=32, depth=3, stride=1),
            BottleneckStage(expansion=4, width=64, depth=3, stride=2),
        ),
    )  # fmt: skip
    return {
        "mobilenet_v2": Preset(MobileNetV2Spec(), torchvision="mobilenet_v2"),
        "mobilenet_v2_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="mobilenet_v2",
        title="MobileNet v2",
        year=2018,
        paper=PAPER,
        summary="Narrow maps between blocks, wide ones only inside, where a depthwise convolution filters them.",
        spec=MobileNetV2Spec,
        builder=MobileNetV2,
        presets=_presets(),
    )
)
