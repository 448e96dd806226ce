"""VGG (2014): nothing but 3×3 convolutions, channels doubling as the map halves, and three wide linear layers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.vgg import PAPER, VGGBlockSpec, vgg_layers
from models.layers import activation, global_pool, initialise
from models.meta import layer
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob


class VGGSpec(NetSpec):
    """Configurations A, B, D and E of the paper's table 1 differ in `depths` only."""

    per_stage = ("depths", "widths")

    depths: tuple[int, ...] = knob(
        (2, 2, 3, 3, 3), low=1, high=8, step=1, length=(1, 6), help="Convolutions per stage."
    )
    widths: tuple[int, ...] = knob(
        (64, 128, 256, 512, 512), low=1, high=1024, step=8, length=(1, 6), paper=(64, 128, 256, 512, 512),
        help="Output channels per stage.",
    )  # fmt: skip
    kernel: int = knobs.like(VGGBlockSpec, "kernel")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("none")
    pool: str = knobs.like(VGGBlockSpec, "pool")
    head: str = knobs.head("fc")
    head_size: int = knobs.head_size(7)
    fc_widths: tuple[int, ...] = knobs.fc_widths((4096, 4096), low=1, high=65_536, step=64)
    dropout: float = knobs.hidden_dropout(0.5)


class VGG(nn.Module):
    """Stages (`features`), pooling to `head_size` (`avgpool`), linear layers (`classifier`): torchvision's names."""

    def __init__(self, spec: VGGSpec) -> None:
        super().__init__()
        inputs = (spec.in_channels, *spec.widths)
        self.features = nn.Sequential(
            *(
                part
                for channels, depth, width in zip(inputs, spec.depths, spec.widths, strict=False)
                for part in vgg_layers(self._block(spec, channels, depth, width))
            )
        )
        gap = spec.head == "gap"
        self.avgpool = global_pool("average", 1 if gap else spec.head_size)
        in_features = spec.widths[-1] * (1 if gap else spec.head_size**2)
        self.classifier = classifier(in_features, () if gap else spec.fc_widths, spec)
        initialise(self)

    @staticmethod
    def _block(spec: VGGSpec, in_channels: int, depth: int, width: int) -> VGGBlockSpec:
        return VGGBlockSpec(
            in_channels=in_channels,
            depth=depth,
            width=width,
            kernel=spec.kernel,
            activation=spec.activation,
            norm=spec.norm,
            pool=spec.pool,
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def classifier(in_features: int, hidden: tuple[int, ...], spec: VGGSpec) -> nn.Sequential:
    """Linear, activation, dropout for each hidden width; then the linear layer over the classes."""
    layers: list[nn.Module] = []
    for features_in, features_out in pairwise((in_features, *hidden)):
        layers += [layer(nn.Linear, features_in, features_out), activation(spec.activation), nn.Dropout(spec.dropout)]
    return nn.Sequential(*layers, layer(nn.Linear, (in_features, *hidden)[-1], spec.num_classes))


def _presets() -> dict[str, Preset]:
    depths = {
        "vgg11": (1, 1, 2, 2, 2),
        "vgg13": (2, 2, 2, 2, 2),
        "vgg16": (2, 2, 3, 3, 3),
        "vgg19": (2, 2, 4, 4, 4),
    }
    plain = {name: Preset(VGGSpec(depths=stages), torchvision=name) for name, stages in depths.items()}
    batch = {
        f"{name}_bn": Preset(VGGSpec(depths=stages, norm="batch"), torchvision=f"{name}_bn")
        for name, stages in depths.items()
    }
    mini = VGGSpec(
        num_classes=12, image_size=64, depths=(1, 1, 2, 2), widths=(16, 24, 48, 80), norm="batch", head="gap"
    )
    return plain | batch | {"vgg_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="vgg",
        title="VGG",
        year=2014,
        paper=PAPER,
        summary="Stages of 3×3 convolutions, each ended by a 2×2 pool; the channels double as the map halves.",
        spec=VGGSpec,
        builder=VGG,
        presets=_presets(),
    )
)
