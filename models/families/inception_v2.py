"""BN-Inception, or Inception v2 (2015): GoogLeNet with batch normalisation, and two 3×3 in place of each 5×5."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.inception_v2 import PAPER, InceptionV2, InceptionV2Spec, InceptionV2Widths
from models.blocks.mixed import unit
from models.layers import global_pool, initialise, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec

Rows = tuple[InceptionV2Widths, ...]
HALVES = {"branch_pool": "max", "stride": 2}
MOST_MODULES = 32


def module(*channels: int, **options: str | int) -> InceptionV2Widths:
    """One module: #1×1, #3×3 reduce, #3×3, double #3×3 reduce, double #3×3, pool projection."""
    return InceptionV2Widths.parse({**dict(zip(InceptionV2Widths.model_fields, channels, strict=False)), **options})


FIGURE_5: Rows = (
    module(64, 64, 64, 64, 96, 32),
    module(64, 64, 96, 64, 96, 64),
    module(0, 128, 160, 64, 96, 0, **HALVES),
    module(224, 64, 96, 96, 128, 128),
    module(192, 96, 128, 96, 128, 128),
    module(160, 128, 160, 128, 160, 96),
    module(96, 128, 192, 160, 192, 96),
    module(0, 128, 192, 192, 256, 0, **HALVES),
    module(352, 192, 320, 160, 224, 128),
    module(352, 192, 320, 192, 224, 128, branch_pool="max"),
)


class BNInceptionSpec(NetSpec):
    """Figure 5 of the paper; its first convolution is a plain one here, where the authors' was separable."""

    modules: Rows = FIGURE_5
    stem_kernel: int = knobs.stem_kernel(7)
    stem_stride: int = knobs.stem_stride(2)
    stem_widths: tuple[int, ...] = knobs.stem_widths((64, 64, 192))
    pool: str = knobs.pool("max", help="The pools of the stem.")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.0)

    def check(self) -> None:
        if not 1 <= len(self.modules) <= MOST_MODULES:
            raise ValueError(f"modules has {len(self.modules)} entries; it takes 1 to {MOST_MODULES}")


class BNInception(nn.Module):
    """`stem`, `blocks`, global pool, linear layer."""

    def __init__(self, spec: BNInceptionSpec) -> None:
        super().__init__()
        first, second, third = spec.stem_widths
        self.stem = nn.Sequential(
            unit(spec, spec.in_channels, first, spec.stem_kernel, spec.stem_stride),
            pool(spec.pool, 3, 2, 1),
            unit(spec, first, second),
            unit(spec, second, third, 3),
            pool(spec.pool, 3, 2, 1),
        )
        channels, blocks = third, []
        for widths in spec.modules:
            block = InceptionV2Spec(**dict(widths), in_channels=channels, activation=spec.activation, norm=spec.norm)
            blocks.append(InceptionV2(block))
            channels = block.out_channels
        self.blocks = nn.Sequential(*blocks)
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout)
        self.fc = nn.Linear(channels, spec.num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(torch.flatten(self.avgpool(self.blocks(self.stem(x))), 1)))


def _presets() -> dict[str, Preset]:
    mini = BNInceptionSpec(
        num_classes=12, image_size=64, stem_kernel=3, stem_stride=1, stem_widths=(16, 16, 32),
        modules=(
            module(16, 16, 24, 16, 16, 8), module(0, 16, 32, 16, 24, 0, **HALVES), module(32, 24, 48, 24, 32, 16),
            module(32, 24, 48, 24, 40, 24), module(0, 32, 48, 24, 40, 0, **HALVES), module(72, 40, 72, 32, 48, 32),
        ),
    )  # fmt: skip
    return {"inception_v2": Preset(BNInceptionSpec()), "inception_v2_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="inception_v2",
        title="BN-Inception (v2)",
        year=2015,
        paper=PAPER,
        summary="Batch normalisation lets GoogLeNet train fourteen times faster; two 3×3 stand for each 5×5.",
        spec=BNInceptionSpec,
        builder=BNInception,
        presets=_presets(),
    )
)
