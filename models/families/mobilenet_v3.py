"""MobileNet v3 (2019): v2's blocks, squeeze-excitation and hard-swish, placed by a search for fast phones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.inverted_residual import convolution, scaled
from models.blocks.mbconv import MBConv, MBConvSpec
from models.layers import activation, global_pool, initialise
from models.registry import Architecture, Paper, Preset, register
from models.spec import NetSpec, Spec, knob

PAPER = Paper(
    "A. Howard, M. Sandler, G. Chu, L.-C. Chen, B. Chen, M. Tan, W. Wang, Y. Zhu, R. Pang, V. Vasudevan, Q. V. Le, "
    "H. Adam",
    "Searching for MobileNetV3",
    "ICCV 2019",
    "https://arxiv.org/abs/1905.02244",
)


class Bneck(Spec):
    """One row of the paper's tables 1 and 2."""

    kernel: int = knobs.depthwise_kernel(3, paper=None)
    expanded: int = knob(64, low=8, high=4096, step=8, help="Channels of the depthwise convolution (exp size).")
    width: int = knobs.stage_width(24, help="Channels that leave the block.")
    attention: bool = knob(False, help="Whether the network's attention stands in this block (SE).")
    activation: str = knobs.activation("relu", help="Non-linearity: relu or hardswish in the paper (NL).", paper=None)
    stride: int = knobs.depthwise_stride(1)


Stages = tuple[tuple[Bneck, ...], ...]


def hard(kernel: int, expanded: int, width: int, attention: bool, stride: int = 1) -> Bneck:
    """A block with hard-swish."""
    return Bneck(
        kernel=kernel, expanded=expanded, width=width, attention=attention, activation="hardswish", stride=stride
    )


LARGE: Stages = (
    (Bneck(expanded=16, width=16),),
    (Bneck(expanded=64, width=24, stride=2), Bneck(expanded=72, width=24)),
    (
        Bneck(kernel=5, expanded=72, width=40, attention=True, stride=2),
        Bneck(kernel=5, expanded=120, width=40, attention=True),
        Bneck(kernel=5, expanded=120, width=40, attention=True),
    ),
    (
        hard(kernel=3, expanded=240, width=80, attention=False, stride=2),
        hard(kernel=3, expanded=200, width=80, attention=False),
        hard(kernel=3, expanded=184, width=80, attention=False),
        hard(kernel=3, expanded=184, width=80, attention=False),
        hard(kernel=3, expanded=480, width=112, attention=True),
        hard(kernel=3, expanded=672, width=112, attention=True),
    ),
    (
        hard(kernel=5, expanded=672, width=160, attention=True, stride=2),
        hard(kernel=5, expanded=960, width=160, attention=True),
        hard(kernel=5, expanded=960, width=160, attention=True),
    ),
)
SMALL: Stages = (
    (Bneck(expanded=16, width=16, attention=True, stride=2),),
    (Bneck(expanded=72, width=24, stride=2), Bneck(expanded=88, width=24)),
    (
        hard(kernel=5, expanded=96, width=40, attention=True, stride=2),
        hard(kernel=5, expanded=240, width=40, attention=True),
        hard(kernel=5, expanded=240, width=40, attention=True),
        hard(kernel=5, expanded=120, width=48, attention=True),
        hard(kernel=5, expanded=144, width=48, attention=True),
    ),
    (
        hard(kernel=5, expanded=288, width=96, attention=True, stride=2),
        hard(kernel=5, expanded=576, width=96, attention=True),
        hard(kernel=5, expanded=576, width=96, attention=True),
    ),
)


class MobileNetV3Spec(knobs.AttentionKnobs, NetSpec):
    """The paper's table 1 (large); table 2 (small) has stages and a head of its own."""

    stages: Stages = LARGE
    width_multiplier: float = knobs.width_multiplier(1.0)
    attention: str = knob(
        "se", choices=knobs.ATTENTION_NAMES, paper="se",
        help="What stands in the stages' blocks that are marked for attention.",
    )  # fmt: skip
    squeeze_ratio: float = knob(
        0.25, low=0.05, high=1.0, step=0.05, paper=0.25,
        help="Squeeze-excitation: channels inside over those of the depthwise convolution, in steps of 8.",
    )  # fmt: skip
    gate: str = knobs.gate("hardsigmoid")
    activation: str = knobs.activation("hardswish", help="Non-linearity of stem and head.")
    norm: str = knobs.norm("batch")
    norm_eps: float = knobs.norm_eps(1e-3)
    skip: bool = knobs.skip(True)
    drop_path: float = knobs.drop_path(0.0)
    stem_width: int = knobs.stem_width(16)
    stem_stride: int = knobs.stem_stride(2)
    head_expansion: float = knob(
        6.0, low=0.5, high=12.0, step=0.5, help="Channels of the last convolution over those before it.", paper=6.0
    )
    head_hidden: int = knob(1280, low=8, high=4096, step=8, help="Width of the hidden linear layer.", paper=1280)
    head_pool: str = knobs.head_pool("average", help="Global pooling before the linear layers.")
    dropout: float = knobs.dropout(0.2)

    def check(self) -> None:
        counts = [len(stage) for stage in self.stages]
        if not 1 <= len(counts) <= 8 or not all(1 <= count <= 16 for count in counts):
            raise ValueError(f"stages has {counts} blocks; it takes 1 to 8 stages of 1 to 16 blocks")


class MobileNetV3(nn.Module):
    """Stem, blocks and a 1×1 convolution in `features`, global pool, `classifier`: torchvision's names."""

    def __init__(self, spec: MobileNetV3Spec) -> None:
        super().__init__()
        kind, act = spec.norm, spec.activation
        stem = scaled(spec.stem_width, spec.width_multiplier)
        blocks = block_specs(spec, stem)
        head = max(1, round(blocks[-1].width * spec.head_expansion))
        hidden = scaled(spec.head_hidden, spec.width_multiplier)
        self.features = nn.Sequential(
            nn.Sequential(*convolution(spec.in_channels, stem, 3, kind, act, spec.stem_stride)),
            *map(MBConv, blocks),
            nn.Sequential(*convolution(blocks[-1].width, head, 1, kind, act)),
        )
        self.avgpool = global_pool(spec.head_pool)
        self.classifier = nn.Sequential(
            nn.Linear(head, hidden), activation(act), nn.Dropout(spec.dropout), nn.Linear(hidden, spec.num_classes)
        )
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | nn.LayerNorm):
                layer.eps = spec.norm_eps
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def block_specs(spec: MobileNetV3Spec, channels: int) -> list[MBConvSpec]:
    """The Spec of every block in order."""
    rows = [row for stage in spec.stages for row in stage]
    found: list[MBConvSpec] = []
    for index, row in enumerate(rows):
        expanded = scaled(row.expanded, spec.width_multiplier)
        block = MBConvSpec(
            in_channels=channels, width=scaled(row.width, spec.width_multiplier), expanded=expanded,
            kernel=row.kernel, stride=row.stride, activation=row.activation, norm=spec.norm, skip=spec.skip,
            drop_path=spec.drop_path * index / max(1, len(rows) - 1),
            attention=spec.attention if row.attention else "none", attention_reduction=spec.attention_reduction,
            squeeze=scaled(expanded, spec.squeeze_ratio), squeeze_activation="relu", gate=spec.gate,
        )  # fmt: skip
        found.append(block)
        channels = block.width
    return found


def _presets() -> dict[str, Preset]:
    mini = MobileNetV3Spec(
        num_classes=12, image_size=64, head_expansion=4, head_hidden=128, norm_eps=1e-5,
        stages=(
            (Bneck(expanded=16, width=16),),
            (Bneck(expanded=64, width=24, stride=2), Bneck(expanded=96, width=24)),
            (
                hard(kernel=5, expanded=96, width=40, attention=True),
                hard(kernel=5, expanded=120, width=40, attention=True),
            ),
            (
                hard(kernel=5, expanded=160, width=64, attention=True, stride=2),
                hard(kernel=5, expanded=240, width=64, attention=True),
            ),
        ),
    )  # fmt: skip
    return {
        "mobilenet_v3_large": Preset(MobileNetV3Spec(), torchvision="mobilenet_v3_large"),
        "mobilenet_v3_small": Preset(MobileNetV3Spec(stages=SMALL, head_hidden=1024), torchvision="mobilenet_v3_small"),
        "mobilenet_v3_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="mobilenet_v3",
        title="MobileNet v3",
        year=2019,
        paper=PAPER,
        summary="Inverted residuals with squeeze-excitation and cheap non-linearities, found by measuring phones.",
        spec=MobileNetV3Spec,
        builder=MobileNetV3,
        presets=_presets(),
    )
)
