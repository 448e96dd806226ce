"""SqueezeNet (2016): AlexNet's accuracy from a fiftieth of its weights, by fire modules and no linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.fire import PAPER, Fire, FireSpec, FireWidths
from models.layers import activation, conv, global_pool, initialise, norm, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob

Stages = tuple[tuple[FireWidths, ...], ...]


def fire(width: int, squeeze: float = 0.125) -> FireWidths:
    """A module of `width` channels, half of them from each window; `squeeze` is its ratio (paper, section 5.1)."""
    return FireWidths(squeeze=int(width * squeeze), expand1=width // 2, expand3=width // 2)


TABLE_1: Stages = (
    (fire(128), fire(128), fire(256)),
    (fire(256), fire(384), fire(384), fire(512)),
    (fire(512),),
)
VERSION_1_1: Stages = (
    (fire(128), fire(128)),
    (fire(256), fire(256)),
    (fire(384), fire(384), fire(512), fire(512)),
)


class SqueezeNetSpec(NetSpec):
    """The paper's table 1; a pool stands before each stage."""

    stages: Stages = TABLE_1
    kernel: int = knobs.kernel(3)
    bypass: str = knobs.like(FireSpec, "bypass")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("none")
    pool: str = knobs.pool("max", help="The 3×3 pool of stride 2 before each stage.")
    stem_kernel: int = knobs.stem_kernel(7)
    stem_stride: int = knobs.stem_stride(2)
    stem_padding: int = knob(0, low=0, high=5, step=1, unit="px", help="Zeros at the borders of the input.", paper=0)
    stem_width: int = knobs.stem_width(96, low=1)
    head_pool: str = knobs.head_pool("average", help="Global pooling of the class maps.")
    dropout: float = knobs.dropout(0.5)

    def check(self) -> None:
        depths = [len(stage) for stage in self.stages]
        if not 1 <= len(depths) <= 6 or not all(1 <= depth <= 16 for depth in depths):
            raise ValueError(f"stages has {depths} modules; it takes 1 to 6 stages of 1 to 16 modules")


class SqueezeNet(nn.Module):
    """Stem, pools and fire modules in `features`; a 1×1 convolution makes a map per class (`classifier`)."""

    def __init__(self, spec: SqueezeNetSpec) -> None:
        super().__init__()
        bias = spec.norm == "none"
        stem = conv(spec.in_channels, spec.stem_width, spec.stem_kernel, spec.stem_stride, spec.stem_padding, bias=bias)
        layers = [stem, *([] if bias else [norm(spec.norm, spec.stem_width)]), activation(spec.activation)]
        channels = spec.stem_width
        for stage in spec.stages:
            layers.append(pool(spec.pool, 3, 2, ceil_mode=True))
            for widths in stage:
                layers.append(Fire(fire_spec(spec, widths, channels)))
                channels = widths.out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(spec.dropout),
            conv(channels, spec.num_classes, 1),
            activation(spec.activation),
            global_pool(spec.head_pool),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


def fire_spec(spec: SqueezeNetSpec, widths: FireWidths, in_channels: int) -> FireSpec:
    """One module's own Spec: its widths and what the network's modules share."""
    return FireSpec(
        in_channels=in_channels, kernel=spec.kernel, bypass=spec.bypass,
        activation=spec.activation, norm=spec.norm, **dict(widths),
    )  # fmt: skip


def _presets() -> dict[str, Preset]:
    newer = SqueezeNetSpec(stages=VERSION_1_1, stem_kernel=3, stem_width=64)
    mini = SqueezeNetSpec(
        num_classes=12, image_size=64, norm="batch", bypass="simple", dropout=0.2,
        stem_kernel=3, stem_stride=1, stem_padding=1, stem_width=16,
        stages=(
            (fire(32, 0.25), fire(32, 0.25)),
            (fire(96, 0.25), fire(96, 0.25)),
            (fire(160, 0.25), fire(160, 0.25), fire(192, 0.25)),
        ),
    )  # fmt: skip
    return {
        "squeezenet1_0": Preset(SqueezeNetSpec(), torchvision="squeezenet1_0"),
        "squeezenet1_1": Preset(
            newer, torchvision="squeezenet1_1", note="The authors' later version: earlier pools, 2.4 times fewer MACs."
        ),
        "squeezenet_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="squeezenet",
        title="SqueezeNet",
        year=2016,
        paper=PAPER,
        summary="Fire modules squeeze the channels before each 3×3 convolution: 1.2 M weights, AlexNet's accuracy.",
        spec=SqueezeNetSpec,
        builder=SqueezeNet,
        presets=_presets(),
    )
)
