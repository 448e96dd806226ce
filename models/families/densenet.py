"""DenseNet (2017): blocks in which every layer reads the maps of all layers before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.blocks.attention import AttentionKnobs, attention, start_attention
from models.blocks.dense import PAPER, DenseBlockSpec, Transition, TransitionSpec, dense_block
from models.layers import activation, conv, global_pool, initialise, norm, pool
from models.registry import Architecture, Preset, register
from models.spec import ACTIVATIONS, NORMS, POOLS, NetSpec, knob


class DenseNetSpec(AttentionKnobs, NetSpec):
    """The paper's table 1 (DenseNet-BC): its columns differ in `depths`; attention stands after each dense block."""

    depths: tuple[int, ...] = knob((6, 12, 24, 16), low=1, high=64, step=1, length=(1, 6), help="Layers per block.")
    growth: int = knob(32, low=1, high=64, step=4, help="New maps per layer, the paper's k.", paper=32)
    bottleneck: bool = knob(True, help="A 1×1 convolution before each k×k one, DenseNet-B.", paper=True)
    bottleneck_factor: int = knob(4, low=1, high=8, step=1, help="Its channels over the growth.", paper=4)
    compression: float = knob(
        0.5, low=0.05, high=1.0, step=0.05, help="Share of channels that a transition keeps, θ.", paper=0.5
    )
    kernel: int = knob(3, choices=(1, 3, 5, 7), help="Side of the dense layers' windows.", paper=3)
    activation: str = knob("relu", choices=ACTIVATIONS, help="Non-linearity before each convolution.", paper="relu")
    norm: str = knob("batch", choices=NORMS, help="Normalisation before each activation.", paper="batch")
    pool: str = knob("average", choices=POOLS, help="How a transition halves the map.", paper="average")
    drop_rate: float = knob(
        0.0, low=0.0, high=0.9, step=0.05, help="Share of each layer's new values dropped in training.", paper=0.0
    )
    stem_kernel: int = knob(7, choices=(1, 3, 5, 7, 9, 11), help="Side of the first convolution's window.", paper=7)
    stem_stride: int = knob(2, low=1, high=4, step=1, help="Stride of the first convolution.", paper=2)
    stem_width: int = knob(64, low=1, high=512, step=8, help="Channels of the first convolution.", paper=64)
    stem_pool: str = knob(
        "max", choices=(*POOLS, "none"), help="3×3 pool of stride 2 after the first convolution.", paper="max"
    )
    head_pool: str = knob("average", choices=POOLS, help="Global pooling before the linear layer.", paper="average")


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
