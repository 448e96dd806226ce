"""RegNet (2020): all stages' widths and depths follow from a line, cut into steps of one ratio: four numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.regnet import PAPER, RegNetBlock, RegNetXBlockSpec, conv_unit
from models.layers import global_pool, initialise
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob

QUANTUM = 8  # widths are multiples of it
MOST_STAGES = 12


class Stage(NamedTuple):
    """What the width rule says of one stage."""

    width: int
    group_width: int
    depth: int


class RegNetSpec(knobs.AttentionKnobs, NetSpec):
    """`depth`, `w0`, `wa` and `wm` make the stages: see `stages`; the defaults are RegNetX-400MF."""

    depth: int = knob(22, low=1, high=64, step=1, help="Blocks in all stages together.")
    w0: int = knob(24, low=8, high=512, step=8, help="Width of the first block on the line.")
    wa: float = knob(24.48, low=0.0, high=300.0, step=0.01, help="By how much the line's width grows per block.")
    wm: float = knob(2.54, low=1.1, high=4.0, step=0.01, help="Ratio of widths from one stage to the next.")
    group_width: int = knobs.like(RegNetXBlockSpec, "group_width")
    bottleneck: float = knobs.like(RegNetXBlockSpec, "bottleneck")
    se_ratio: float = knobs.like(RegNetXBlockSpec, "se_ratio", paper=None)
    stride: int = knobs.strides(2, length=None)
    kernel: int = knobs.like(RegNetXBlockSpec, "kernel")
    stem_kernel: int = knobs.stem_kernel(3)
    stem_stride: int = knobs.stem_stride(2)
    stem_width: int = knobs.stem_width(32, low=1)
    activation: str = knobs.activation("relu", help="Non-linearity after convolutions and adds.")
    norm: str = knobs.norm("batch")
    head_pool: str = knobs.head_pool("average")

    def check(self) -> None:
        count = len(self.stages)
        if count > MOST_STAGES:
            self.refuse("depth", "w0", "wa", "wm", why=f"they make {count} stages, and at most {MOST_STAGES} are built")

    @property
    def stages(self) -> list[Stage]:
        """The stages, from the quantised line (paper, section 3.2, eq. 2–4).

        Block j is wanted u = w0 + wa·j wide; it gets w0·wm^s, s = log(u/w0)/log(wm) rounded, in multiples of 8;
        blocks of one width are one stage. Last, widths are brought to what their groups divide, as in torchvision.
        """
        wanted = [self.w0 + self.wa * j for j in range(self.depth)]
        steps = [round(math.log(u / self.w0) / math.log(self.wm)) for u in wanted]
        widths = [QUANTUM * round(self.w0 * self.wm**step / QUANTUM) for step in steps]
        return [Stage(*self._fitted(width), depth) for width, depth in Counter(widths).items()]

    def _fitted(self, width: int) -> tuple[int, int]:
        """The nearest width whose inside divides into groups, and the width of these."""
        inner = max(1, int(width * self.bottleneck))
        group = min(self.group_width, inner)
        unit = math.lcm(group, int(self.bottleneck)) if self.bottleneck > 1 else group
        fitted = max(unit, int(inner + unit / 2) // unit * unit)
        if fitted < 0.9 * inner:
            fitted += unit
        return int(fitted / self.bottleneck), group


class RegNet(nn.Module):
    """`stem`, `trunk_output` (of `block1`, `block2` …), global pool, linear layer: torchvision's names."""

    def __init__(self, spec: RegNetSpec) -> None:
        super().__init__()
        shared = block_spec(spec)
        self.stem = conv_unit(shared, spec.in_channels, spec.stem_width, spec.stem_kernel, spec.stem_stride)
        self.trunk_output = nn.Sequential()
        channels = spec.stem_width
        for number, part in enumerate(spec.stages, start=1):
            blocks = nn.Sequential()
            for index, block in enumerate(stage_blocks(spec, shared, part, channels)):
                blocks.add_module(f"block{number}-{index}", RegNetBlock(block))
            self.trunk_output.add_module(f"block{number}", blocks)
            channels = part.width
        self.avgpool = global_pool(spec.head_pool)
        self.fc = nn.Linear(channels, spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.avgpool(self.trunk_output(self.stem(x))), 1))


def block_spec(spec: RegNetSpec) -> RegNetXBlockSpec:
    """What all blocks of the network share."""
    return RegNetXBlockSpec(
        se_ratio=spec.se_ratio, bottleneck=spec.bottleneck, kernel=spec.kernel, activation=spec.activation,
        norm=spec.norm, attention=spec.attention, attention_reduction=spec.attention_reduction,
    )  # fmt: skip


def stage_blocks(
    spec: RegNetSpec, shared: RegNetXBlockSpec, part: Stage, in_channels: int
) -> Iterator[RegNetXBlockSpec]:
    """The Specs of one stage's blocks; the first carries the stride and the change of channels."""
    first = shared.replace(in_channels=in_channels, width=part.width, stride=spec.stride, group_width=part.group_width)
    yield first
    for _ in range(1, part.depth):
        yield first.replace(in_channels=part.width, stride=1)


# Torchvision's sizes, which are the paper's tables 1 and 2: depth, w0, wa, wm, group width.
X_SIZES: dict[str, tuple[int, int, float, float, int]] = {
    "400mf": (22, 24, 24.48, 2.54, 16),
    "800mf": (16, 56, 35.73, 2.28, 16),
    "1_6gf": (18, 80, 34.01, 2.25, 24),
    "3_2gf": (25, 88, 26.31, 2.25, 48),
    "8gf": (23, 80, 49.56, 2.88, 120),
    "16gf": (22, 216, 55.59, 2.1, 128),
    "32gf": (23, 320, 69.86, 2.0, 168),
}
Y_SIZES: dict[str, tuple[int, int, float, float, int]] = {
    "400mf": (16, 48, 27.89, 2.09, 8),
    "800mf": (14, 56, 38.84, 2.4, 16),
    "1_6gf": (27, 48, 20.71, 2.65, 24),
    "3_2gf": (21, 80, 42.63, 2.66, 24),
    "8gf": (17, 192, 76.82, 2.19, 56),
    "16gf": (18, 200, 106.23, 2.48, 112),
    "32gf": (20, 232, 115.89, 2.53, 232),
    "128gf": (27, 456, 160.83, 2.52, 264),
}


def _preset(name: str, size: tuple[int, int, float, float, int], se_ratio: float) -> Preset:
    depth, w0, wa, wm, group_width = size
    spec = RegNetSpec(depth=depth, w0=w0, wa=wa, wm=wm, group_width=group_width, se_ratio=se_ratio)
    return Preset(spec, torchvision=name)


def _presets() -> dict[str, Preset]:
    mini = RegNetSpec(
        num_classes=12, image_size=64, depth=7, w0=24, wa=21.0, wm=2.0, group_width=8, stem_width=16, stem_stride=1
    )
    x = {name: _preset(name, size, 0.0) for suffix, size in X_SIZES.items() for name in [f"regnet_x_{suffix}"]}
    y = {name: _preset(name, size, 0.25) for suffix, size in Y_SIZES.items() for name in [f"regnet_y_{suffix}"]}
    return {
        **x,
        "regnet_x_mini": Preset(mini, compact=True),
        **y,
        "regnet_y_mini": Preset(mini.replace(se_ratio=0.25), compact=True),
    }


register(
    Architecture(
        name="regnet",
        title="RegNet",
        year=2020,
        paper=PAPER,
        summary="A design space found by narrowing: widths on a quantised line, grouped bottlenecks, nothing else.",
        spec=RegNetSpec,
        builder=RegNet,
        presets=_presets(),
    )
)
