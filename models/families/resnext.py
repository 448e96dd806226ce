"""ResNeXt (2017): bottlenecks of many narrow paths, computed as one grouped convolution."""

from __future__ import annotations

from models import knobs
from models.blocks.resnext import PAPER
from models.registry import Architecture, Preset, register
from models.skeletons.residual_net import DEPTHS, MINI, GroupedNetSpec, ResidualNet


class ResNeXtSpec(GroupedNetSpec):
    """The paper's table 1: ResNet-50's stages with 32 groups (cardinality) of 4 channels."""

    groups: int = knobs.like(GroupedNetSpec, "groups", 32)
    group_width: int = knobs.like(GroupedNetSpec, "group_width", 4)


def _presets() -> dict[str, Preset]:
    sizes = {"50_32x4d": (50, 32, 4), "101_32x8d": (101, 32, 8), "101_64x4d": (101, 64, 4)}
    specs = {
        size: ResNeXtSpec(depths=DEPTHS[layers], groups=groups, group_width=width)
        for size, (layers, groups, width) in sizes.items()
    }
    note = "With norm and activation before each convolution."
    mini = ResNeXtSpec(**{**MINI, "widths": (8, 16, 32, 48), "depths": (1, 2, 2, 2)}, groups=8, group_width=16)
    return {
        **{f"resnext{size}": Preset(spec, torchvision=f"resnext{size}") for size, spec in specs.items()},
        **{f"preact_resnext{size}": Preset(spec.replace(preactivated=True), note=note) for size, spec in specs.items()},
        "resnext_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="resnext",
        title="ResNeXt",
        year=2017,
        paper=PAPER,
        summary="More parallel paths (cardinality) rather than more depth or width: better accuracy at the same cost.",
        spec=ResNeXtSpec,
        builder=ResidualNet,
        presets=_presets(),
    )
)
