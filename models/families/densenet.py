"""DenseNet (2017): blocks in which every layer reads the maps of all layers before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import attention, start_attention
from models.blocks.dense import PAPER, DenseBlockSpec, DenseLayerSpec, Transition, TransitionSpec, dense_block
from models.layers import activation, conv, global_pool, initialise, norm, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob


class DenseNetSpec(knobs.AttentionKnobs, NetSpec):
    """The paper's table 1 (DenseNet-BC): its columns differ in `depths`; attention stands after each dense block."""

    depths: tuple[int, ...] = knob((6, 12, 24, 16), low=1, high=64, step=1, length=(1, 6), help="Layers per block.")
    growth: int = knobs.like(DenseLayerSpec, "growth")
    bottleneck: bool = knobs.like(DenseLayerSpec, "bottleneck")
    bottleneck_factor: int = knobs.like(DenseLayerSpec, "bottleneck_factor")
    compression: float = knobs.like(TransitionSpec, "compression")
    kernel: int = knobs.kernel(3, help="Side of the dense layers' windows.")
    activation: str = knobs.like(DenseLayerSpec, "activation")
    norm: str = knobs.like(DenseLayerSpec, "norm")
    pool: str = knobs.like(TransitionSpec, "pool")
    drop_rate: float = knobs.like(DenseLayerSpec, "drop_rate")
    stem_kernel: int = knobs.stem_kernel(7)
    stem_stride: int = knobs.stem_stride(2)
    stem_width: int = knobs.stem_width(64, low=1)
    stem_pool: str = knobs.stem_pool("max")
    head_pool: str = knobs.head_pool("average")


class DenseNet(nn.Module):
    """Stem, `denseblock1`, `transition1` … in `features`, global pool, `classifier`: torchvision's names."""

    def __init__(self, spec: DenseNetSpec) -> None:
        super().__init__()
        self.features = stem(spec)
        channels = spec.stem_width
        for number, depth in enumerate(spec.depths, start=1):
            block = block_spec(spec, channels, depth)
            self.features.add_module(f"denseblock{number}", dense_block(block))
            channels = block.out_channels
            if spec.attention != "none":
                weigh = attention(spec.attention, channels, spec.attention_reduction)
                self.features.add_module(f"attention{number}", weigh)
            if number < len(spec.depths):
                transition = transition_spec(spec, channels)
                self.features.add_module(f"transition{number}", Transition(transition))
                channels = transition.out_channels
        self.features.add_module("norm5", norm(spec.norm, channels))
        self.features.add_module("act5", activation(spec.activation))
        self.avgpool = global_pool(spec.head_pool)
        self.classifier = nn.Linear(channels, spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def stem(spec: DenseNetSpec) -> nn.Sequential:
    """`conv0`, `norm0`, activation and pool: a quarter of the side at the paper's strides."""
    layers = nn.Sequential()
    bias = spec.norm == "none"
    layers.add_module("conv0", conv(spec.in_channels, spec.stem_width, spec.stem_kernel, spec.stem_stride, bias=bias))
    layers.add_module("norm0", norm(spec.norm, spec.stem_width))
    layers.add_module("act0", activation(spec.activation))
    if spec.stem_pool != "none":
        layers.add_module("pool0", pool(spec.stem_pool, 3, 2, 1))
    return layers


def block_spec(spec: DenseNetSpec, in_channels: int, depth: int) -> DenseBlockSpec:
    """One dense block's own Spec: its depth and what the blocks share."""
    return DenseBlockSpec(
        in_channels=in_channels, depth=depth, growth=spec.growth, bottleneck=spec.bottleneck,
        bottleneck_factor=spec.bottleneck_factor, kernel=spec.kernel, activation=spec.activation, norm=spec.norm,
        drop_rate=spec.drop_rate,
    )  # fmt: skip


def transition_spec(spec: DenseNetSpec, in_channels: int) -> TransitionSpec:
    """One transition's own Spec."""
    return TransitionSpec(
        in_channels=in_channels, compression=spec.compression, pool=spec.pool,
        activation=spec.activation, norm=spec.norm,
    )  # fmt: skip


def _presets() -> dict[str, Preset]:
    knobs = {
        "densenet121": {"depths": (6, 12, 24, 16)},
        "densenet169": {"depths": (6, 12, 32, 32)},
        "densenet201": {"depths": (6, 12, 48, 32)},
        "densenet161": {"depths": (6, 12, 36, 24), "growth": 48, "stem_width": 96},
    }
    mini = DenseNetSpec(
        num_classes=12, image_size=64, depths=(6, 8, 9), growth=12, bottleneck_factor=3, stem_kernel=3, stem_width=24
    )
    full = {name: Preset(DenseNetSpec(**changes), torchvision=name) for name, changes in knobs.items()}
    return {**full, "densenet_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="densenet",
        title="DenseNet",
        year=2017,
        paper=PAPER,
        summary="Each layer adds a few maps to all those before it and reads them all: features are reused.",
        spec=DenseNetSpec,
        builder=DenseNet,
        presets=_presets(),
    )
)
