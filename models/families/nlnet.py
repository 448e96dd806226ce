"""Non-local network (2018): between its residual blocks, layers in which every position looks at every other."""

from __future__ import annotations

from torch import nn

from models import knobs
from models.blocks.attention import NON_LOCAL_PAPER, NonLocal, NonLocalSpec
from models.registry import Architecture, Preset, register
from models.skeletons.residual_net import BASIC, DEPTHS, MINI, GroupedNetSpec, ResidualNet
from models.spec import knob


class NLNetSpec(GroupedNetSpec):
    """ResNet with a non-local block after every other block of stages 2 and 3 (paper, section 5.1: 5 in ResNet-50)."""

    non_local_from: int = knob(2, low=1, high=6, step=1, help="First stage with non-local blocks.", paper=2)
    non_local_to: int = knob(3, low=1, high=6, step=1, help="Last stage with non-local blocks.", paper=3)
    non_local_every: int = knob(2, low=1, high=36, step=1, help="One after this many residual blocks.", paper=2)
    non_local_reduction: int = knobs.like(NonLocalSpec, "reduction")
    pairwise: str = knobs.like(NonLocalSpec, "pairwise")
    sub_sample: bool = knobs.like(NonLocalSpec, "sub_sample", True)

    def after_block(self, stage: int, index: int, channels: int) -> list[nn.Module]:
        """The non-local block that follows a residual block, where one does."""
        inside = self.non_local_from <= stage + 1 <= self.non_local_to
        if not inside or (index + 1) % self.non_local_every:
            return []
        spec = NonLocalSpec(
            in_channels=channels,
            reduction=self.non_local_reduction,
            pairwise=self.pairwise,
            sub_sample=self.sub_sample,
        )
        return [NonLocal(spec)]

    def check(self) -> None:
        if not self.non_local_from <= min(self.non_local_to, len(self.depths)):
            self.refuse("non_local_from", "non_local_to", "depths", why="there is no such stage")


def _presets() -> dict[str, Preset]:
    full = {f"nl_resnet{layers}": Preset(NLNetSpec(depths=DEPTHS[layers])) for layers in (50, 101)}
    mini = NLNetSpec(**BASIC, **MINI, non_local_from=3, non_local_every=1, non_local_reduction=4)
    return {**full, "nlnet_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="nlnet",
        title="Non-local network",
        year=2018,
        paper=NON_LOCAL_PAPER,
        summary="A few layers let every position gather from all others: the whole image in reach at once.",
        spec=NLNetSpec,
        builder=ResidualNet,
        presets=_presets(),
    )
)
