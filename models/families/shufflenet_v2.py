"""ShuffleNet v2 (2018): built by what is fast on real chips: equal channels, few groups, no adds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.inverted_residual import convolution
from models.blocks.shuffle import PAPER_V2, ShuffleUnitV2, ShuffleUnitV2Spec
from models.layers import global_pool, initialise, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob


class ShuffleNetV2Spec(knobs.AttentionKnobs, NetSpec):
    """The paper's table 5: its columns differ in `widths` and `head_width`; attention ends each unit's convolutions."""

    per_stage = ("depths", "widths", "strides")

    depths: tuple[int, ...] = knob(
        (4, 8, 4), low=1, high=24, step=1, length=(1, 6), help="Units per stage.", paper=(4, 8, 4)
    )
    widths: tuple[int, ...] = knobs.widths((116, 232, 464), low=2, high=1024, step=2, paper=None)
    strides: tuple[int, ...] = knob(
        (2, 2, 2), low=2, high=4, step=1, length=(1, 6), help="Stride of each stage's first unit.", paper=(2, 2, 2)
    )
    kernel: int = knobs.depthwise_kernel(3)
    shuffle: bool = knobs.like(ShuffleUnitV2Spec, "shuffle")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    stem_width: int = knobs.stem_width(24, low=2, step=2)
    stem_kernel: int = knobs.stem_kernel(3, choices=(1, 3, 5, 7))
    stem_stride: int = knobs.stem_stride(2)
    stem_pool: str = knobs.stem_pool("max")
    head_width: int = knobs.head_width(1024)
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.0)

    def check(self) -> None:
        if any(width % 2 for width in self.widths):
            self.refuse("widths", why="half of the channels comes from each branch, so they must be even")


class ShuffleNetV2(nn.Module):
    """`conv1`, pool, `stage2` …, a 1×1 convolution named after the last stage, `fc`: torchvision's names."""

    def __init__(self, spec: ShuffleNetV2Spec) -> None:
        super().__init__()
        kind, act = spec.norm, spec.activation
        stem = convolution(spec.in_channels, spec.stem_width, spec.stem_kernel, kind, act, spec.stem_stride)
        self.conv1 = nn.Sequential(*stem)
        self.maxpool = None if spec.stem_pool == "none" else pool(spec.stem_pool, 3, 2, 1)
        self.order = [f"stage{number}" for number in range(2, len(spec.widths) + 2)]
        for index, name in enumerate(self.order):
            self.add_module(name, stage(spec, index))
        self.order.append(f"conv{len(spec.widths) + 2}")
        self.add_module(self.order[-1], nn.Sequential(*convolution(spec.widths[-1], spec.head_width, 1, kind, act)))
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
        self.fc = nn.Linear(spec.head_width, spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if self.maxpool is not None:
            x = self.maxpool(x)
        for name in self.order:
            x = getattr(self, name)(x)
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(x if self.dropout is None else self.dropout(x))


def stage(spec: ShuffleNetV2Spec, index: int) -> nn.Sequential:
    """The units of one stage; the first carries the stride and the change of channels."""
    first = ShuffleUnitV2Spec(
        in_channels=(spec.stem_width, *spec.widths)[index], width=spec.widths[index], stride=spec.strides[index],
        kernel=spec.kernel, shuffle=spec.shuffle, activation=spec.activation, norm=spec.norm, attention=spec.attention,
        attention_reduction=spec.attention_reduction,
    )  # fmt: skip
    rest = first.replace(in_channels=first.width, stride=1)
    return nn.Sequential(ShuffleUnitV2(first), *(ShuffleUnitV2(rest) for _ in range(1, spec.depths[index])))


def _presets() -> dict[str, Preset]:
    knobs = {
        "shufflenet_v2_x0_5": {"widths": (48, 96, 192)},
        "shufflenet_v2_x1_0": {"widths": (116, 232, 464)},
        "shufflenet_v2_x1_5": {"widths": (176, 352, 704)},
        "shufflenet_v2_x2_0": {"widths": (244, 488, 976), "head_width": 2048},
    }
    mini = ShuffleNetV2Spec(
        num_classes=12, image_size=64, depths=(3, 5, 3), widths=(80, 160, 256), stem_pool="none",
        head_width=256,
    )  # fmt: skip
    full = {name: Preset(ShuffleNetV2Spec(**changes), torchvision=name) for name, changes in knobs.items()}
    return {**full, "shufflenet_v2_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="shufflenet_v2",
        title="ShuffleNet v2",
        year=2018,
        paper=PAPER_V2,
        summary="Units that convolve half of the channels and hand on the other, then shuffle: measured, not counted.",
        spec=ShuffleNetV2Spec,
        builder=ShuffleNetV2,
        presets=_presets(),
    )
)
