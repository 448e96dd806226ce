"""ResNet v2 (2016): norm and activation before each convolution; the identity runs through the whole network."""

from __future__ import annotations

from models import knobs
from models.blocks.preactivation import PAPER, PreActBasic, PreActBasicSpec, PreActBottleneck, PreActBottleneckSpec
from models.blocks.residual import BasicSpec
from models.registry import Architecture, Preset, register
from models.skeletons.residual_net import BASIC, DEPTHS, MINI, ResidualNet, ResidualNetSpec


class PreActResNetSpec(ResidualNetSpec):
    """The tables of ResNet v1 with pre-activated blocks."""

    width_factor: float = knobs.like(PreActBasicSpec, "width_factor")
    full_preactivation: bool = knobs.like(PreActBasicSpec, "full_preactivation")

    @property
    def norm_first(self) -> bool:
        """Norms and activations come before the convolutions."""
        return True

    def block_type(self) -> tuple[type[BasicSpec], type[PreActBasic | PreActBottleneck]]:
        """The blocks' Spec and module."""
        return (PreActBasicSpec, PreActBasic) if self.block == "basic" else (PreActBottleneckSpec, PreActBottleneck)


def _presets() -> dict[str, Preset]:
    blocks = {18: BASIC, 34: BASIC}
    full = {
        f"preact_resnet{layers}": Preset(PreActResNetSpec(**blocks.get(layers, {}), depths=depths))
        for layers, depths in DEPTHS.items()
    }
    return {**full, "preact_resnet_mini": Preset(PreActResNetSpec(**BASIC, **MINI), compact=True)}


register(
    Architecture(
        name="preact_resnet",
        title="ResNet v2 (pre-activation)",
        year=2016,
        paper=PAPER,
        summary="Norm and activation before each convolution and none after the add: the signal's path stays clean.",
        spec=PreActResNetSpec,
        builder=ResidualNet,
        presets=_presets(),
    )
)
