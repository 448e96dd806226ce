"""ShuffleNet v1 (2017): grouped 1×1 convolutions, and a shuffle so that the groups learn from each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.inverted_residual import convolution
from models.blocks.shuffle import PAPER_V1, ShuffleUnitV1, ShuffleUnitV1Spec
from models.layers import global_pool, initialise, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob


class ShuffleNetV1Spec(knobs.AttentionKnobs, NetSpec):
    """The paper's table 1, the column of 3 groups; attention ends each unit's convolutions, before the join."""

    depths: tuple[int, ...] = knob(
        (4, 8, 4), low=1, high=24, step=1, length=(1, 5), help="Units per stage.", paper=(4, 8, 4)
    )
    width: int = knob(
        240, low=24, high=1536, step=24, help="Channels of the first stage; each further stage doubles them.", paper=240
    )
    stride: int = knob(2, low=2, high=4, step=1, help="Stride of each stage's first unit.", paper=2)
    groups: int = knobs.like(ShuffleUnitV1Spec, "groups")
    bottleneck: float = knobs.like(ShuffleUnitV1Spec, "bottleneck")
    kernel: int = knobs.depthwise_kernel(3)
    shuffle: bool = knobs.like(ShuffleUnitV1Spec, "shuffle")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    stem_width: int = knobs.stem_width(24, low=24, high=240, step=24)
    stem_stride: int = knobs.stem_stride(2)
    stem_pool: str = knobs.stem_pool("max")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.0)

    def check(self) -> None:
        if self.width <= self.stem_width:
            self.refuse("width", "stem_width", why="a stage's first unit puts new channels beside its input's")
        if self.width % self.groups or (self.width - self.stem_width) % self.groups:
            self.refuse("width", "stem_width", "groups", why="each group needs the same number of channels")


class ShuffleNetV1(nn.Module):
    """Stem, pool, `stage2` …, global pool, linear layer."""

    def __init__(self, spec: ShuffleNetV1Spec) -> None:
        super().__init__()
        stem = convolution(spec.in_channels, spec.stem_width, 3, spec.norm, spec.activation, spec.stem_stride)
        self.conv1 = nn.Sequential(*stem)
        self.maxpool = None if spec.stem_pool == "none" else pool(spec.stem_pool, 3, 2, 1)
        self.stages = [f"stage{number}" for number in range(2, len(spec.depths) + 2)]
        for index, name in enumerate(self.stages):
            self.add_module(name, stage(spec, index))
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
        self.fc = nn.Linear(spec.width * 2 ** (len(spec.depths) - 1), spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if self.maxpool is not None:
            x = self.maxpool(x)
        for name in self.stages:
            x = getattr(self, name)(x)
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(x if self.dropout is None else self.dropout(x))


def stage(spec: ShuffleNetV1Spec, index: int) -> nn.Sequential:
    """The units of one stage; the first carries the stride, and in the first stage its 1×1 is not grouped."""
    width = spec.width * 2**index
    first = ShuffleUnitV1Spec(
        in_channels=width // 2 if index else spec.stem_width, width=width, stride=spec.stride, groups=spec.groups,
        first_grouped=index > 0, bottleneck=spec.bottleneck, kernel=spec.kernel, shuffle=spec.shuffle,
        activation=spec.activation, norm=spec.norm, attention=spec.attention,
        attention_reduction=spec.attention_reduction,
    )  # fmt: skip
    rest = first.replace(in_channels=width, stride=1, first_grouped=True)
    return nn.Sequential(ShuffleUnitV1(first), *(ShuffleUnitV1(rest) for _ in range(1, spec.depths[index])))


def _presets() -> dict[str, Preset]:
    mini = ShuffleNetV1Spec(num_classes=12, image_size=64, depths=(3, 5, 3), width=120, stem_pool="none")
    return {"shufflenet_v1": Preset(ShuffleNetV1Spec()), "shufflenet_v1_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="shufflenet_v1",
        title="ShuffleNet v1",
        year=2017,
        paper=PAPER_V1,
        summary="Most of a small network's work is in 1×1 convolutions: here they are grouped, and shuffled between.",
        spec=ShuffleNetV1Spec,
        builder=ShuffleNetV1,
        presets=_presets(),
    )
)
