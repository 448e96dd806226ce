"""ConvMixer (2022): the picture in patches, then equal blocks at one resolution, a transformer without attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.convmixer import PAPER, ConvMixerBlock, ConvMixerBlockSpec
from models.layers import activation, conv, global_pool, initialise, norm
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob


class ConvMixerSpec(knobs.AttentionKnobs, NetSpec):
    """Names are width/depth; the defaults are 1536/20, the paper's best."""

    width: int = knob(1536, low=1, high=4096, step=8, help="Channels, the same everywhere.")
    depth: int = knob(20, low=1, high=64, step=1, help="Blocks.")
    kernel: int = knobs.like(ConvMixerBlockSpec, "kernel")
    patch: int = knob(7, low=1, high=32, step=1, unit="px", help="Side of the patches that the stem reads.", paper=7)
    activation: str = knobs.activation("gelu")
    norm: str = knobs.like(ConvMixerBlockSpec, "norm")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.0)


class ConvMixer(nn.Module):
    """`stem` (patch embedding), `blocks`, global pool, linear `head`."""

    def __init__(self, spec: ConvMixerSpec) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv(spec.in_channels, spec.width, spec.patch, spec.patch, padding=0),
            activation(spec.activation),
            norm(spec.norm, spec.width),
        )
        block = ConvMixerBlockSpec(
            in_channels=spec.width, kernel=spec.kernel, activation=spec.activation, norm=spec.norm,
            attention=spec.attention, attention_reduction=spec.attention_reduction,
        )  # fmt: skip
        self.blocks = nn.Sequential(*(ConvMixerBlock(block) for _ in range(spec.depth)))
        self.pool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(spec.width, spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(torch.flatten(self.pool(self.blocks(self.stem(x))), 1)))


def _presets() -> dict[str, Preset]:
    mini = ConvMixerSpec(num_classes=12, image_size=64, width=88, depth=6, kernel=7, patch=4)
    return {
        "convmixer_768_32": Preset(ConvMixerSpec(width=768, depth=32, kernel=7, activation="relu"), note="With ReLU."),
        "convmixer_1024_20": Preset(ConvMixerSpec(width=1024, patch=14), note="Patches of 14 px: fast."),
        "convmixer_1536_20": Preset(ConvMixerSpec()),
        "convmixer_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="convmixer",
        title="ConvMixer",
        year=2022,
        paper=PAPER,
        summary="Patches, wide depthwise windows and 1×1 convolutions at one resolution, and nothing else.",
        spec=ConvMixerSpec,
        builder=ConvMixer,
        presets=_presets(),
    )
)
