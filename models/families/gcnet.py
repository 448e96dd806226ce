"""GCNet (2019): residual networks whose blocks add one context, gathered from the whole map, to every position."""

from __future__ import annotations

from models import knobs
from models.blocks.attention import GLOBAL_CONTEXT_PAPER
from models.registry import Architecture, Preset, register
from models.skeletons.residual_net import BASIC, DEPTHS, MINI, GroupedNetSpec, ResidualNet


class GCNetSpec(GroupedNetSpec):
    """ResNet with a global context block after the last convolution of each block of c3 to c5 (paper, section 4)."""

    attention: str = knobs.branch_attention("global_context")
    attention_from: int = knobs.like(GroupedNetSpec, "attention_from", 2)


def _presets() -> dict[str, Preset]:
    full = {f"gc_resnet{layers}": Preset(GCNetSpec(depths=DEPTHS[layers])) for layers in (50, 101)}
    return {**full, "gcnet_mini": Preset(GCNetSpec(**BASIC, **MINI, attention_reduction=4), compact=True)}


register(
    Architecture(
        name="gcnet",
        title="GCNet",
        year=2019,
        paper=GLOBAL_CONTEXT_PAPER,
        summary="One attention map for all positions: the reach of a non-local network at squeeze-excitation's price.",
        spec=GCNetSpec,
        builder=ResidualNet,
        presets=_presets(),
    )
)
