"""ConvNeXt (2022): a ResNet redrawn step by step after the Swin transformer, from convolutions only."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from models import knobs
from models.blocks.convnext import PAPER, ConvNeXtBlock, ConvNeXtBlockSpec, downsample, initialise
from models.layers import activation, conv, global_pool, norm, sequence
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob

STAGES = (1, 6)


class ConvNeXtSpec(knobs.AttentionKnobs, NetSpec):
    """Section 3 of the paper: its sizes differ in `depths`, `widths` and `drop_path`."""

    per_stage = ("depths", "widths", "strides")

    depths: tuple[int, ...] = knobs.depths((3, 3, 9, 3), paper=None)
    widths: tuple[int, ...] = knobs.widths((96, 192, 384, 768), low=1, paper=None)
    strides: tuple[int, ...] = knob(
        (4, 2, 2, 2), low=1, high=8, step=1, length=STAGES, unit="px", paper=(4, 2, 2, 2),
        help="Side and step of the window before each stage; the first is the patch of the stem.",
    )  # fmt: skip
    kernel: int = knobs.like(ConvNeXtBlockSpec, "kernel")
    expansion: float = knobs.like(ConvNeXtBlockSpec, "expansion")
    layer_scale: float = knobs.like(ConvNeXtBlockSpec, "layer_scale")
    norms: str = knobs.like(ConvNeXtBlockSpec, "norms")
    activations: str = knobs.like(ConvNeXtBlockSpec, "activations")
    downsampling: str = knob(
        "separate", choices=("separate", "block"), paper="separate",
        help="What shrinks the map between stages: a norm and a convolution of their own, with a norm before the head, "
        "or the first block's depthwise convolution, as in a ResNet.",
    )  # fmt: skip
    drop_path: float = knobs.drop_path(0.1)
    activation: str = knobs.like(ConvNeXtBlockSpec, "activation")
    norm: str = knobs.norm("channel_layer", help="Normalisation everywhere.")
    head_pool: str = knobs.head_pool("average")

    def check(self) -> None:
        if self.norm == "instance" and self.downsampling == "separate":
            self.refuse("norm", why="the head normalises a map of one pixel, which has no variance of its own")


class ConvNeXt(nn.Module):
    """`features` (stem, stage, downsampling, stage …), global pool, `classifier`: torchvision's names."""

    def __init__(self, spec: ConvNeXtSpec) -> None:
        super().__init__()
        first = spec.strides[0]
        stem = nn.Sequential(
            conv(spec.in_channels, spec.widths[0], first, first, padding=0), norm(spec.norm, spec.widths[0])
        )
        if spec.activations == "all":
            stem.append(activation(spec.activation))
        layers: list[nn.Module] = [stem]
        separate = spec.downsampling == "separate"
        for index, width in enumerate(spec.widths):
            if index and separate:
                layers.append(downsample(spec.norm, spec.widths[index - 1], width, spec.strides[index]))
            layers.append(stage(spec, index))
        self.features = nn.Sequential(*layers)
        self.avgpool = global_pool(spec.head_pool)
        width = spec.widths[-1]
        last_norm = [norm(spec.norm, width)] if separate else []
        self.classifier = sequence(last_norm, nn.Flatten(1), nn.Linear(width, spec.num_classes))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)))


def stage(spec: ConvNeXtSpec, index: int) -> nn.Sequential:
    """The blocks of one stage; the chance to be left out grows linearly over the blocks of all stages."""
    before, last = sum(spec.depths[:index]), max(1, sum(spec.depths) - 1)
    block = ConvNeXtBlockSpec(
        in_channels=spec.widths[index], kernel=spec.kernel, expansion=spec.expansion,
        layer_scale=spec.layer_scale, norms=spec.norms, activations=spec.activations,
        activation=spec.activation, norm=spec.norm,
        attention=spec.attention, attention_reduction=spec.attention_reduction,
    )  # fmt: skip
    chances = [spec.drop_path * (before + i) / last for i in range(spec.depths[index])]
    blocks = [ConvNeXtBlock(block.replace(drop_path=chance)) for chance in chances]
    if index and spec.downsampling == "block":
        first = block.replace(in_channels=spec.widths[index - 1], drop_path=chances[0])
        blocks[0] = ConvNeXtBlock(first, spec.widths[index], spec.strides[index])
    return nn.Sequential(*blocks)


def _presets() -> dict[str, Preset]:
    deep = (3, 3, 27, 3)
    knobs: dict[str, dict[str, Any]] = {
        "convnext_tiny": {},
        "convnext_small": {"depths": deep, "drop_path": 0.4},
        "convnext_base": {"depths": deep, "widths": (128, 256, 512, 1024), "drop_path": 0.5},
        "convnext_large": {"depths": deep, "widths": (192, 384, 768, 1536), "drop_path": 0.5},
    }
    mini = ConvNeXtSpec(
        num_classes=12, image_size=64, depths=(1, 1, 3, 1), widths=(16, 40, 72, 112), strides=(2, 2, 2, 2),
        layer_scale=1.0, drop_path=0.0,
    )  # fmt: skip
    full = {name: Preset(ConvNeXtSpec(**changes), torchvision=name) for name, changes in knobs.items()}
    return {**full, "convnext_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="convnext",
        title="ConvNeXt",
        year=2022,
        paper=PAPER,
        summary="Large depthwise windows, few norms and activations: a convolutional net at a transformer's accuracy.",
        spec=ConvNeXtSpec,
        builder=ConvNeXt,
        presets=_presets(),
    )
)
