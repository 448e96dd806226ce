"""SENet (2017): residual networks in which each block weighs its channels by what the whole map shows."""

from __future__ import annotations

from models import knobs
from models.blocks.attention import SE_PAPER
from models.registry import Architecture, Preset, register
from models.skeletons.residual_net import BASIC, DEPTHS, MINI, GroupedNetSpec, ResidualNet


class SENetSpec(GroupedNetSpec):
    """ResNet or ResNeXt with squeeze-excitation before each add (paper, figure 3, table 1)."""

    attention: str = knobs.branch_attention("se")


def _presets() -> dict[str, Preset]:
    grouped = {"groups": 32, "group_width": 4}
    knobs = {
        "se_resnet50": {"depths": DEPTHS[50]},
        "se_resnet101": {"depths": DEPTHS[101]},
        "se_resnet152": {"depths": DEPTHS[152]},
        "se_resnext50_32x4d": {"depths": DEPTHS[50], **grouped},
        "se_resnext101_32x4d": {"depths": DEPTHS[101], **grouped},
    }
    full = {name: Preset(SENetSpec(**changes)) for name, changes in knobs.items()}
    return {**full, "senet_mini": Preset(SENetSpec(**BASIC, **MINI, attention_reduction=4), compact=True)}


register(
    Architecture(
        name="senet",
        title="SENet",
        year=2017,
        paper=SE_PAPER,
        summary="Squeeze-excitation in every block: 10 % more parameters, hardly any operations, fewer errors.",
        spec=SENetSpec,
        builder=ResidualNet,
        presets=_presets(),
    )
)
