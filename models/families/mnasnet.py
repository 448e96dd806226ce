"""MnasNet (2019): inverted residuals whose kernels, expansions and depths a search chose by latency on a phone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.inverted_residual import (
    InvertedResidualSpec,
    MobileBlock,
    convolution,
    depthwise_parts,
    scaled,
    weighing,
)
from models.layers import global_pool, initialise, sequence
from models.registry import Architecture, Paper, Preset, register
from models.spec import NetSpec, Spec, knob

PAPER = Paper(
    "M. Tan, B. Chen, R. Pang, V. Vasudevan, M. Sandler, A. Howard, Q. V. Le",
    "MnasNet: Platform-Aware Neural Architecture Search for Mobile",
    "CVPR 2019",
    "https://arxiv.org/abs/1807.11626",
)


class MnasStage(Spec):
    """A row of blocks of one kind that the search chose together."""

    expansion: float = knobs.expansion(6.0, paper=None)
    kernel: int = knobs.depthwise_kernel(3, paper=None)
    width: int = knobs.stage_width(64)
    depth: int = knobs.depth(1)
    stride: int = knobs.first_stride(1)


B1: tuple[MnasStage, ...] = (
    MnasStage(expansion=3, width=24, depth=3, stride=2),
    MnasStage(expansion=3, kernel=5, width=40, depth=3, stride=2),
    MnasStage(kernel=5, width=80, depth=3, stride=2),
    MnasStage(width=96, depth=2),
    MnasStage(kernel=5, width=192, depth=4, stride=2),
    MnasStage(width=320),
)


class MnasNetSpec(knobs.AttentionKnobs, NetSpec):
    """MnasNet-B1, the network without squeeze-excitation; attention stands after each depthwise convolution."""

    stages: tuple[MnasStage, ...] = B1
    width_multiplier: float = knobs.width_multiplier(
        1.0, help="Thins or widens every layer but the last, in steps of 8."
    )
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    skip: bool = knobs.skip(True)
    drop_path: float = knobs.drop_path_by_share(0.0)
    stem_width: int = knobs.stem_width(32)
    stem_stride: int = knobs.stem_stride(2)
    stem_out: int = knob(16, low=8, high=512, step=8, help="Channels of the separable convolution after it.", paper=16)
    head_width: int = knobs.head_width(1280)
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.2)

    def check(self) -> None:
        if not 1 <= len(self.stages) <= 12:
            raise ValueError(f"stages has {len(self.stages)} entries; it takes 1 to 12")


class MnasBlock(MobileBlock):
    """An inverted residual whose path is flat (`layers`), as torchvision names it."""

    def __init__(self, spec: InvertedResidualSpec) -> None:
        super().__init__(spec.adds, spec.drop_path)
        self.layers = sequence(*depthwise_parts(spec, weighing(spec, spec.inner)))

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x, self.layers(x))


class MnasNet(nn.Module):
    """Stem, stages and a 1×1 convolution in `layers`, global pool, `classifier`: torchvision's names."""

    def __init__(self, spec: MnasNetSpec) -> None:
        super().__init__()
        kind, act = spec.norm, spec.activation
        width, out = (scaled(channels, spec.width_multiplier) for channels in (spec.stem_width, spec.stem_out))
        outputs = [out, *(scaled(row.width, spec.width_multiplier) for row in spec.stages)]
        self.layers = sequence(
            convolution(spec.in_channels, width, 3, kind, act, spec.stem_stride),
            convolution(width, width, 3, kind, act, groups=width),
            convolution(width, out, 1, kind, "none"),
            [stage(spec, index, channels) for index, channels in enumerate(outputs[:-1])],
            convolution(outputs[-1], spec.head_width, 1, kind, act),
        )
        self.avgpool = global_pool(spec.head_pool)
        self.classifier = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(spec.head_width, spec.num_classes))
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.layers(x)), 1))


def stage(spec: MnasNetSpec, index: int, in_channels: int) -> nn.Sequential:
    """The blocks of one stage; the first carries the stride and the change of channels."""
    row = spec.stages[index]
    width = scaled(row.width, spec.width_multiplier)
    depths = [other.depth for other in spec.stages]
    first = InvertedResidualSpec(
        in_channels=in_channels, width=width, expansion=row.expansion, kernel=row.kernel, stride=row.stride,
        activation=spec.activation, norm=spec.norm, skip=spec.skip,
        attention=spec.attention, attention_reduction=spec.attention_reduction,
    )  # fmt: skip
    rest = first.replace(in_channels=width, stride=1)
    chances = [spec.drop_path * (sum(depths[:index]) + number) / sum(depths) for number in range(row.depth)]
    return nn.Sequential(
        *(MnasBlock((rest if number else first).replace(drop_path=chance)) for number, chance in enumerate(chances))
    )


def _presets() -> dict[str, Preset]:
    factors = {"mnasnet0_5": 0.5, "mnasnet0_75": 0.75, "mnasnet1_0": 1.0, "mnasnet1_3": 1.3}
    mini = MnasNetSpec(
        num_classes=12, image_size=64, stem_width=16, head_width=256,
        stages=(
            MnasStage(expansion=3, width=24, depth=2, stride=2),
            MnasStage(expansion=4, kernel=5, width=32, depth=3, stride=1),
            MnasStage(expansion=4, width=64, depth=3, stride=2),
        ),
    )  # fmt: skip
    full = {name: Preset(MnasNetSpec(width_multiplier=factor), torchvision=name) for name, factor in factors.items()}
    return {**full, "mnasnet_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="mnasnet",
        title="MnasNet",
        year=2019,
        paper=PAPER,
        summary="A search chose each stage's blocks by their measured latency on a phone, not by counted operations.",
        spec=MnasNetSpec,
        builder=MnasNet,
        presets=_presets(),
    )
)
