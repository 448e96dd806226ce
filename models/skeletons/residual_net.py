"""The network that all residual families share: a stem, stages of residual blocks, a global pool, a linear layer."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.preactivation import PreActBasic, PreActBasicSpec, PreActBottleneck
from models.blocks.residual import BasicBlock, Bottleneck, ResidualAddSpec, ResidualSpec
from models.blocks.resnext import PreActResNeXtBlockSpec, ResNeXtBlockSpec
from models.layers import activation, conv, global_pool, initialise, norm, pool
from models.spec import NetSpec, knob

BLOCKS = ("basic", "bottleneck")
STEM_KERNELS = (1, 3, 4, 5, 7, 9, 11)
# He et al. 2016, table 1.
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BASIC = {"block": "basic", "expansion": 1, "stride_in": "conv1"}
# What the compact presets share.
MINI = {
    "num_classes": 12, "image_size": 64, "depths": (1, 1, 1, 2), "widths": (16, 32, 64, 96),
    "stem_kernel": 3, "stem_width": 16, "stem_pool": "none",
}  # fmt: skip


class ResidualNetSpec(knobs.AttentionKnobs, NetSpec):
    """What every residual network has (He et al. 2016, table 1)."""

    per_stage = ("depths", "widths", "strides")

    block: str = knob("bottleneck", choices=BLOCKS, help="Two k×k convolutions, or 1×1, k×k, 1×1.")
    depths: tuple[int, ...] = knobs.depths((3, 4, 6, 3), paper=None)
    widths: tuple[int, ...] = knob(
        (64, 128, 256, 512), low=1, high=1024, step=8, length=(1, 6), paper=(64, 128, 256, 512),
        help="Channels inside the blocks of each stage.",
    )  # fmt: skip
    strides: tuple[int, ...] = knobs.strides((1, 2, 2, 2))
    expansion: int = knob(
        4, low=1, high=8, step=1,
        help="Output channels over width: 4 in the paper's bottlenecks, 1 in its basic blocks.",
    )  # fmt: skip
    kernel: int = knobs.kernel(3)
    stride_in: str = knobs.like(ResidualSpec, "stride_in", "conv2", paper="conv1")
    shortcut: str = knobs.like(ResidualAddSpec, "shortcut")
    activation: str = knobs.like(ResidualAddSpec, "activation")
    norm: str = knobs.norm("batch")
    stem_kernel: int = knobs.stem_kernel(
        7, choices=STEM_KERNELS,
        help="Side of the first convolution's window; one of 4, with that stride, cuts the image into patches.",
    )  # fmt: skip
    stem_stride: int = knobs.stem_stride(2)
    stem_width: int = knobs.stem_width(64, low=1)
    stem_pool: str = knobs.stem_pool("max")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.0)
    drop_path: float = knobs.drop_path(0.0)
    zero_init: bool = knob(False, help="Start each block as the identity: its last scale is 0.", paper=False)
    attention_from: int = knob(1, low=1, high=6, step=1, help="Attention: the first stage whose blocks have it.",
                               needs={"attention": knobs.ATTENTION_NAMES[1:]})  # fmt: skip
    attention_activation: str = knobs.attention_activation("relu")

    @property
    def norm_first(self) -> bool:
        """Whether norms and activations come before the convolutions: then a last pair ends the network."""
        return False

    def block_type(self) -> tuple[type[ResidualSpec], type[BasicBlock | Bottleneck | PreActBasic | PreActBottleneck]]:
        """The blocks' Spec and module."""
        raise NotImplementedError

    def after_block(self, stage: int, index: int, channels: int) -> list[nn.Module]:
        """What follows a block, by its stage and its place there, both from 0: a family's own extras."""
        return []

    def check(self) -> None:
        if self.zero_init and self.norm == "none":
            self.refuse("zero_init", "norm", why="there is no norm whose scale could start at 0")
        if self.zero_init and self.shortcut == "none":
            self.refuse("zero_init", "shortcut", why="blocks that start at 0 and add nothing hand on nothing")
        if self.attention != "none" and self.attention_from > len(self.depths):
            self.refuse("attention_from", "depths", why="there is no such stage")
        channels = (self.stem_width, *(width * self.expansion for width in self.widths))
        if self.shortcut == "zero_pad" and any(before > after for before, after in pairwise(channels)):
            self.refuse("shortcut", "stem_width", "widths", why="zeros can add channels, not remove them")


class GroupedNetSpec(ResidualNetSpec):
    """A residual network whose bottlenecks may work in groups (Xie et al. 2017), before or after their norms."""

    groups: int = knobs.like(ResNeXtBlockSpec, "groups", 1, paper=None)
    group_width: int = knobs.like(ResNeXtBlockSpec, "group_width", 64, paper=None)
    preactivated: bool = knob(False, help="Norm and activation before each convolution.", paper=False)
    full_preactivation: bool = knobs.like(
        PreActBasicSpec,
        "full_preactivation",
        help="Pre-activated: where the shortcut projects, it too reads the normalised, activated input "
        "(off: the raw one).",
        paper=None,
        needs={"preactivated": (True,)},
    )

    @property
    def norm_first(self) -> bool:
        """Whether norms and activations come before the convolutions."""
        return self.preactivated

    def block_type(self) -> tuple[type[ResidualSpec], type[BasicBlock | Bottleneck | PreActBasic | PreActBottleneck]]:
        """The blocks' Spec and module."""
        if self.preactivated:
            return PreActResNeXtBlockSpec, PreActBasic if self.block == "basic" else PreActBottleneck
        return ResNeXtBlockSpec, BasicBlock if self.block == "basic" else Bottleneck

    def check(self) -> None:
        if self.groups > 1 and self.block == "basic":
            why = (
                "groups are defined for bottlenecks only; in a block of two convolutions the second would mix the "
                "paths that the first keeps apart"
            )
            self.refuse("groups", "block", why=why)


class ResidualNet(nn.Module):
    """Stem, `layer1`, `layer2` …, global pool, linear layer: torchvision's names.

    With pre-activated blocks the stem has no norm, as the first block brings one; a norm and an activation follow the
    last block (He et al. 2016, Identity Mappings, appendix). Where the first block keeps its shape, its identity is
    the raw map, as in timm; the paper activates that one too.
    """

    def __init__(self, spec: ResidualNetSpec) -> None:
        super().__init__()
        self.conv1 = stem_conv(spec)
        self.bn1 = None if spec.norm_first else norm(spec.norm, spec.stem_width)
        self.act = None if spec.norm_first else activation(spec.activation)
        self.maxpool = None if spec.stem_pool == "none" else pool(spec.stem_pool, 3, 2, 1)
        outputs = [width * spec.expansion for width in spec.widths]
        self.stages = [f"layer{number}" for number in range(1, len(outputs) + 1)]
        for index, (name, channels) in enumerate(zip(self.stages, [spec.stem_width, *outputs], strict=False)):
            self.add_module(name, stage(spec, index, channels))
        self.last_norm = norm(spec.norm, outputs[-1]) if spec.norm_first else None
        self.last_act = activation(spec.activation) if spec.norm_first else None
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
        self.fc = nn.Linear(outputs[-1], spec.num_classes)
        start(self, spec)

    def forward(self, x: Tensor) -> Tensor:
        stem = (self.conv1, self.bn1, self.act, self.maxpool)
        stages = (getattr(self, name) for name in self.stages)
        for part in (*stem, *stages, self.last_norm, self.last_act, self.avgpool):
            if part is not None:
                x = part(x)
        x = torch.flatten(x, 1)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc(x)


def stem_conv(spec: ResidualNetSpec) -> nn.Module:
    """The first convolution; windows of an even side, which have no middle, go without padding."""
    padding = None if spec.stem_kernel % 2 else 0
    bias = spec.norm == "none"
    return conv(spec.in_channels, spec.stem_width, spec.stem_kernel, spec.stem_stride, padding, bias=bias)


def start(network: nn.Module, spec: ResidualNetSpec) -> None:
    """Draw the first weights; with `zero_init` each block starts as the identity."""
    initialise(network)
    start_attention(network)
    for block in network.modules() if spec.zero_init else ():
        if isinstance(block, BasicBlock | Bottleneck | PreActBasic | PreActBottleneck):
            nn.init.zeros_(block.last.get_parameter("weight"))


def stage(spec: ResidualNetSpec, index: int, in_channels: int) -> nn.Sequential:
    """The blocks of one stage, and what follows each."""
    block = spec.block_type()[1]
    layers: list[nn.Module] = []
    for number, own in enumerate(block_specs(spec, index, in_channels)):
        layers += [block(own), *spec.after_block(index, number, own.out_channels)]
    return nn.Sequential(*layers)


def block_specs(spec: ResidualNetSpec, index: int, in_channels: int) -> list[ResidualSpec]:
    """The plans of the blocks of one stage; the first carries the stride and the change of channels."""
    spec_type = spec.block_type()[0]
    shared = {name: getattr(spec, name) for name in spec_type.model_fields if name in type(spec).model_fields}
    shared |= {"in_channels": in_channels, "width": spec.widths[index], "stride": spec.strides[index]}
    if index + 1 < spec.attention_from:
        shared["attention"] = "none"
    first = spec_type(**{**shared, "drop_path": drop_path(spec, index, 0)})
    rest = first.replace(in_channels=first.out_channels, stride=1)
    numbers = range(1, spec.depths[index])
    return [first, *(rest.replace(drop_path=drop_path(spec, index, n)) if spec.drop_path else rest for n in numbers)]


def drop_path(spec: ResidualNetSpec, stage: int, number: int) -> float:
    """The chance of stochastic depth of a block: from 0 at the first to the knob's value at the last."""
    before, last = sum(spec.depths[:stage]) + number, max(1, sum(spec.depths) - 1)
    return spec.drop_path * before / last
