"""ResNet v1 (2015): stages of residual blocks, so that a layer only has to learn a change to its input.

K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385. This
file follows its table 1: the plan, the unit, the stage, the network, the presets. What a plan has in common with those
of later residual networks is in models/skeletons/residual_net.py, the layers of a unit in models/blocks/residual.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.residual import PAPER, BasicBlock, BasicSpec, Bottleneck, BottleneckSpec, ResidualSpec
from models.layers import activation, global_pool, norm, pool
from models.registry import Architecture, Preset, register
from models.skeletons.residual_net import BASIC, DEPTHS, MINI, ResidualNetSpec, block_specs, start, stem_conv


class ResNetSpec(ResidualNetSpec):
    """The plan: the columns of table 1 differ in `block` (with `expansion`) and `depths`."""

    width_factor: float = knobs.like(BasicSpec, "width_factor")
    depthwise: bool = knobs.like(BottleneckSpec, "depthwise")

    def block_type(self) -> tuple[type[BasicSpec], type[BasicBlock | Bottleneck]]:
        """The unit's plan and module: two k×k convolutions, or 1×1, k×k, 1×1 (figure 5)."""
        return (BasicSpec, BasicBlock) if self.block == "basic" else (BottleneckSpec, Bottleneck)

    def check(self) -> None:
        if self.depthwise and self.block == "basic":
            why = "a block of two convolutions has no 1×1 that would mix the channels"
            self.refuse("depthwise", "block", why=why)


def unit(spec: ResNetSpec, plan: ResidualSpec) -> BasicBlock | Bottleneck:
    """activation(f(x) + x): f is the block's convolutions, x is projected where its shape must change (eq. 1 and 2)."""
    return spec.block_type()[1](plan)


def stage(spec: ResNetSpec, index: int, in_channels: int) -> nn.Sequential:
    """`depths[index]` units in a row: the first brings the stride and the channels, the others keep the shape."""
    return nn.Sequential(*(unit(spec, plan) for plan in block_specs(spec, index, in_channels)))


class ResNet(nn.Module):
    """Stem (224 → 56 px), `layer1` … `layer4` (56, 28, 14, 7 px), head: torchvision's names."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        self.conv1 = stem_conv(spec)
        self.bn1 = norm(spec.norm, spec.stem_width)
        self.act = activation(spec.activation)
        self.maxpool = pool(spec.stem_pool, 3, 2, 1) if spec.stem_pool != "none" else None
        channels = [spec.stem_width, *(width * spec.expansion for width in spec.widths)]
        self.stages = [f"layer{number}" for number in range(1, len(channels))]
        for index, name in enumerate(self.stages):
            self.add_module(name, stage(spec, index, channels[index]))
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
        self.fc = nn.Linear(channels[-1], spec.num_classes)
        start(self, spec)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv1(x)))
        x = x if self.maxpool is None else self.maxpool(x)
        for name in self.stages:
            x = getattr(self, name)(x)
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(x if self.dropout is None else self.dropout(x))


# Table 1, and torchvision's two with bottlenecks that are twice as wide inside (https://arxiv.org/abs/1605.07146).
COLUMNS = {
    "resnet18": {**BASIC, "depths": DEPTHS[18]},
    "resnet34": {**BASIC, "depths": DEPTHS[34]},
    "resnet50": {"depths": DEPTHS[50]},
    "resnet101": {"depths": DEPTHS[101]},
    "resnet152": {"depths": DEPTHS[152]},
    "wide_resnet50_2": {"depths": DEPTHS[50], "width_factor": 2.0},
    "wide_resnet101_2": {"depths": DEPTHS[101], "width_factor": 2.0},
}
PRESETS = {
    **{name: Preset(ResNetSpec(**column), torchvision=name) for name, column in COLUMNS.items()},
    "resnet_mini": Preset(ResNetSpec(**BASIC, **MINI), compact=True),
}

register(
    Architecture(
        name="resnet",
        title="ResNet",
        year=2015,
        paper=PAPER,
        summary="Each block adds a learned change to its input, so that a hundred layers and more can train.",
        spec=ResNetSpec,
        builder=ResNet,
        presets=PRESETS,
    )
)
