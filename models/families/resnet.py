"""ResNet v1 (2015): stages of residual blocks, so that a layer only has to learn a change to its input."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.blocks.residual import (
    PAPER,
    SHORTCUT_HELP,
    SHORTCUTS,
    STRIDE_HELP,
    BasicBlock,
    BasicSpec,
    Bottleneck,
    BottleneckSpec,
    ResidualSpec,
)
from models.layers import activation, conv, global_pool, initialise, norm, pool
from models.registry import Architecture, Preset, register
from models.spec import ACTIVATIONS, NORMS, POOLS, NetSpec, knob

_BLOCKS: dict[str, tuple[type[ResidualSpec], type[BasicBlock | Bottleneck]]] = {
    "basic": (BasicSpec, BasicBlock),
    "bottleneck": (BottleneckSpec, Bottleneck),
}


class ResNetSpec(NetSpec):
    """The paper's table 1: its columns differ in `block` (with `expansion`) and `depths`."""

    block: str = knob("bottleneck", choices=tuple(_BLOCKS), help="Two k×k convolutions, or 1×1, k×k, 1×1.")
    depths: tuple[int, ...] = knob((3, 4, 6, 3), low=1, high=36, step=1, length=(1, 6), help="Blocks per stage.")
    widths: tuple[int, ...] = knob(
        (64, 128, 256, 512),
        low=1,
        high=1024,
        step=8,
        length=(1, 6),
        help="Channels inside the blocks of each stage.",
        paper=(64, 128, 256, 512),
    )
    strides: tuple[int, ...] = knob(
        (1, 2, 2, 2),
        low=1,
        high=4,
        step=1,
        length=(1, 6),
        help="Stride of each stage's first block.",
        paper=(1, 2, 2, 2),
    )
    expansion: int = knob(
        4,
        low=1,
        high=8,
        step=1,
        help="Output channels over width: 4 in the paper's bottlenecks, 1 in its basic blocks.",
    )
    width_factor: float = knob(
        1.0,
        low=0.25,
        high=4.0,
        step=0.25,
        help="Widens or thins the inside of every block; 2 in the wide ResNets.",
        paper=1.0,
    )
    kernel: int = knob(3, choices=(1, 3, 5, 7), help="Side of the windows wider than one pixel.", paper=3)
    stride_in: str = knob("conv2", choices=("conv1", "conv2"), help=STRIDE_HELP, paper="conv1")
    shortcut: str = knob("projection", choices=SHORTCUTS, help=SHORTCUT_HELP, paper="projection")
    activation: str = knob("relu", choices=ACTIVATIONS, help="Non-linearity after convolutions and adds.", paper="relu")
    norm: str = knob("batch", choices=NORMS, help="Normalisation after each convolution.", paper="batch")
    stem_kernel: int = knob(7, choices=(1, 3, 5, 7, 9, 11), help="Side of the first convolution's window.", paper=7)
    stem_stride: int = knob(2, low=1, high=4, step=1, help="Stride of the first convolution.", paper=2)
    stem_width: int = knob(64, low=1, high=512, step=8, help="Channels of the first convolution.", paper=64)
    stem_pool: str = knob(
        "max", choices=(*POOLS, "none"), help="3×3 pool of stride 2 after the first convolution.", paper="max"
    )
    head_pool: str = knob("average", choices=POOLS, help="Global pooling before the linear layer.", paper="average")
    dropout: float = knob(0.0, low=0.0, high=0.9, step=0.05, help="Share of features dropped in training.", paper=0.0)
    zero_init: bool = knob(False, help="Start each block as the identity: its last norm's scale is 0.", paper=False)

    def check(self) -> None:
        if not len(self.depths) == len(self.widths) == len(self.strides):
            self.refuse("depths", "widths", "strides", why="each needs one entry per stage")
        if self.zero_init and self.norm == "none":
            self.refuse("zero_init", "norm", why="there is no norm whose scale could start at 0")
        channels = (self.stem_width, *(width * self.expansion for width in self.widths))
        if self.shortcut == "zero_pad" and any(before > after for before, after in pairwise(channels)):
            self.refuse("shortcut", "stem_width", "widths", why="zeros can add channels, not remove them")


class ResNet(nn.Module):
    """Stem, `layer1`, `layer2` …, global pool, linear layer: torchvision's names."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        bias = spec.norm == "none"
        self.conv1 = conv(spec.in_channels, spec.stem_width, spec.stem_kernel, spec.stem_stride, bias=bias)
        self.bn1 = norm(spec.norm, spec.stem_width)
        self.act = activation(spec.activation)
        self.maxpool = None if spec.stem_pool == "none" else pool(spec.stem_pool, 3, 2, 1)
        outputs = [width * spec.expansion for width in spec.widths]
        self.stages = [f"layer{number}" for number in range(1, len(outputs) + 1)]
        for index, (name, channels) in enumerate(zip(self.stages, [spec.stem_width, *outputs], strict=False)):
            self.add_module(name, stage(spec, index, channels))
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
        self.fc = nn.Linear(outputs[-1], spec.num_classes)
        initialise(self)
        if spec.zero_init:
            self._start_as_identity()

    def _start_as_identity(self) -> None:
        for block in self.modules():
            if isinstance(block, BasicBlock | Bottleneck) and isinstance(block.last_norm.weight, Tensor):
                nn.init.zeros_(block.last_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for name in self.stages:
            x = getattr(self, name)(x)
        x = torch.flatten(self.avgpool(x), 1)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc(x)


def stage(spec: ResNetSpec, index: int, in_channels: int) -> nn.Sequential:
    """The blocks of one stage; the first carries the stride and the change of channels."""
    spec_type, block = _BLOCKS[spec.block]
    first = spec_type(
        in_channels=in_channels, width=spec.widths[index], expansion=spec.expansion,
        width_factor=spec.width_factor, kernel=spec.kernel, stride=spec.strides[index],
        stride_in=spec.stride_in, shortcut=spec.shortcut, activation=spec.activation, norm=spec.norm,
    )  # fmt: skip
    rest = first.replace(in_channels=first.out_channels, stride=1)
    return nn.Sequential(block(first), *(block(rest) for _ in range(1, spec.depths[index])))


def _presets() -> dict[str, Preset]:
    basic = {"block": "basic", "expansion": 1, "stride_in": "conv1"}
    knobs = {
        "resnet18": {**basic, "depths": (2, 2, 2, 2)},
        "resnet34": {**basic, "depths": (3, 4, 6, 3)},
        "resnet50": {"depths": (3, 4, 6, 3)},
        "resnet101": {"depths": (3, 4, 23, 3)},
        "resnet152": {"depths": (3, 8, 36, 3)},
        "wide_resnet50_2": {"depths": (3, 4, 6, 3), "width_factor": 2.0},
        "wide_resnet101_2": {"depths": (3, 4, 23, 3), "width_factor": 2.0},
    }
    mini = ResNetSpec(
        num_classes=12, image_size=64, **basic, depths=(1, 1, 1, 2), widths=(16, 32, 64, 96),
        stem_kernel=3, stem_width=16, stem_pool="none",
    )  # fmt: skip
    full = {name: Preset(ResNetSpec(**changes), torchvision=name) for name, changes in knobs.items()}
    return {**full, "resnet_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="resnet",
        title="ResNet",
        year=2015,
        paper=PAPER,
        summary="Each block adds a learned change to its input, so that a hundred layers and more can train.",
        spec=ResNetSpec,
        builder=ResNet,
        presets=_presets(),
    )
)
