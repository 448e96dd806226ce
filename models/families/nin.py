"""NiN (2013): a small MLP at every pixel, and global average pooling in place of the linear layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.nin import PAPER, NiNBlockSpec, nin_layers
from models.layers import global_pool, initialise, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob

BLOCKS = (1, 6)


class NiNSpec(NetSpec):
    """Defaults are the authors' ImageNet network (their Caffe model: 7.6 M parameters); the paper's are for 32 px."""

    per_stage = ("widths", "kernels", "strides", "paddings", "pools")

    widths: tuple[int, ...] = knob(
        (96, 256, 384, 1024), low=2, high=1024, step=2, length=BLOCKS, help="Output channels per block."
    )
    kernels: tuple[int, ...] = knob(
        (11, 5, 3, 3), choices=(1, 3, 5, 7, 9, 11), length=BLOCKS, unit="px", help="Side of each block's first window."
    )
    strides: tuple[int, ...] = knob(
        (4, 1, 1, 1), low=1, high=4, step=1, length=BLOCKS, unit="px", help="Step of each block's first window."
    )
    paddings: tuple[int, ...] = knob(
        (0, 2, 1, 1), low=0, high=5, step=1, length=BLOCKS, unit="px", help="Zeros at each border per block."
    )
    mlp_depth: int = knob(
        2, low=1, high=4, step=1, help="1×1 convolutions per block; the last of all gives the classes.", paper=2
    )
    activation: str = knobs.activation("relu", help="Non-linearity after each convolution but the last.")
    last_activation: str = knobs.activation("relu", help="Non-linearity after the maps of the classes.")
    norm: str = knobs.norm("none")
    pools: tuple[str, ...] = knob(
        ("max", "max", "max", "none"), choices=("none", *knobs.POOL_NAMES), length=BLOCKS,
        help="Pooling after each block.",
    )  # fmt: skip
    pool_kernel: int = knobs.pool_kernel(3)
    pool_stride: int = knobs.pool_stride(2)
    pool_ceil: bool = knobs.pool_ceil(True, paper=None)
    dropout: float = knobs.dropout(0.5, help="Share dropped before the last block in training.")


class NiN(nn.Module):
    """Blocks and pools (`features`) that end in one map per class, whose means (`avgpool`) are the logits."""

    def __init__(self, spec: NiNSpec) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(len(spec.widths)):
            if index == len(spec.widths) - 1:
                layers.append(nn.Dropout(spec.dropout))
            layers += nin_layers(_block(spec, index))
            if spec.pools[index] != "none":
                kind, ceil_mode = spec.pools[index], spec.pool_ceil
                layers.append(pool(kind, spec.pool_kernel, spec.pool_stride, ceil_mode=ceil_mode))
        self.features = nn.Sequential(*layers)
        self.avgpool = global_pool("average")
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.avgpool(self.features(x)), 1)


def _block(spec: NiNSpec, index: int) -> NiNBlockSpec:
    last = index == len(spec.widths) - 1
    width = spec.widths[index]
    return NiNBlockSpec(
        in_channels=(spec.in_channels, *spec.widths)[index],
        width=width,
        kernel=spec.kernels[index],
        stride=spec.strides[index],
        padding=spec.paddings[index],
        mlp_widths=(width,) * (spec.mlp_depth - 1) + (spec.num_classes if last else width,),
        norm=spec.norm,
        activation=spec.activation,
        last_activation=spec.last_activation if last else spec.activation,
    )


def _presets() -> dict[str, Preset]:
    mini = NiNSpec(
        num_classes=12,
        image_size=64,
        widths=(24, 48, 80, 80),
        kernels=(5, 5, 3, 3),
        strides=(2, 1, 1, 1),
        paddings=(2, 2, 1, 1),
        pools=("max", "max", "none", "none"),
        norm="batch",
        last_activation="none",
        dropout=0.2,
    )
    return {"nin": Preset(NiNSpec()), "nin_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="nin",
        title="NiN",
        year=2013,
        paper=PAPER,
        summary="Blocks of a convolution and two 1×1 convolutions, then the mean of one map per class.",
        spec=NiNSpec,
        builder=NiN,
        presets=_presets(),
    )
)
