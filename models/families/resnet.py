"""ResNet v1 (2015): stages of residual blocks, so that a layer only has to learn a change to its input."""

from __future__ import annotations

from models import knobs
from models.blocks.residual import PAPER, BasicBlock, BasicSpec, Bottleneck, BottleneckSpec
from models.registry import Architecture, Preset, register
from models.skeletons.residual_net import BASIC, DEPTHS, MINI, ResidualNet, ResidualNetSpec


class ResNetSpec(ResidualNetSpec):
    """The paper's table 1: its columns differ in `block` (with `expansion`) and `depths`."""

    width_factor: float = knobs.like(BasicSpec, "width_factor")

    def block_type(self) -> tuple[type[BasicSpec], type[BasicBlock | Bottleneck]]:
        """The blocks' Spec and module."""
        return (BasicSpec, BasicBlock) if self.block == "basic" else (BottleneckSpec, Bottleneck)


def _presets() -> dict[str, Preset]:
    knobs = {
        "resnet18": {**BASIC, "depths": DEPTHS[18]},
        "resnet34": {**BASIC, "depths": DEPTHS[34]},
        "resnet50": {"depths": DEPTHS[50]},
        "resnet101": {"depths": DEPTHS[101]},
        "resnet152": {"depths": DEPTHS[152]},
        "wide_resnet50_2": {"depths": DEPTHS[50], "width_factor": 2.0},
        "wide_resnet101_2": {"depths": DEPTHS[101], "width_factor": 2.0},
    }
    full = {name: Preset(ResNetSpec(**changes), torchvision=name) for name, changes in knobs.items()}
    return {**full, "resnet_mini": Preset(ResNetSpec(**BASIC, **MINI), compact=True)}


register(
    Architecture(
        name="resnet",
        title="ResNet",
        year=2015,
        paper=PAPER,
        summary="Each block adds a learned change to its input, so that a hundred layers and more can train.",
        spec=ResNetSpec,
        builder=ResidualNet,
        presets=_presets(),
    )
)
