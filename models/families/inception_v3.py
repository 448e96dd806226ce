"""Inception v3 (2015): wide windows become rows of narrow ones; reductions that lose little stand between stages."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.inception_v3 import (
    PAPER,
    InceptionA,
    InceptionASpec,
    InceptionB,
    InceptionBSpec,
    InceptionC,
    InceptionCSpec,
    InceptionD,
    InceptionDSpec,
    InceptionE,
    InceptionESpec,
)
from models.blocks.mixed import MixedSpec, unit
from models.layers import global_pool, initialise, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob

S = TypeVar("S", bound=MixedSpec)
AUX_MAP = 17  # px: what the auxiliary head's 5×5 pool of stride 3 and 5×5 convolution need


class InceptionV3Spec(NetSpec):
    """Table 1 of the paper; the defaults are torchvision's."""

    image_size: int = knobs.image_size(299, step=1)
    width_factor: float = knobs.width_factor(1.0)
    stem_stride: int = knobs.stem_stride(2)
    stem_widths: tuple[int, ...] = knob(
        (32, 32, 64, 80, 192), low=8, high=512, step=8, length=(5, 5),
        help="Channels of the stem's convolutions: three 3×3, a 1×1, a 3×3.",
    )  # fmt: skip
    stem_window: int = knob(
        3, choices=(3, 7), unit="px", paper=3,
        help="The stem's first windows: three of 3×3, or in their place the one of 7×7 that they factorise.",
    )  # fmt: skip
    stem_padding: int = knob(
        0, choices=(0, 1), unit="px", help="Zeros around the stem's unpadded 3×3 windows.", paper=0
    )
    stem_pools: tuple[bool, ...] = knobs.stem_pools((True, True))
    pool: str = knobs.pool("max")
    branch_pool: str = knobs.module_pool("average")
    reduction_padding: int = knob(0, choices=(0, 1), unit="px", help="Zeros around the reductions.", paper=0)
    pool_features: tuple[int, ...] = knob(
        (32, 64, 64), low=8, high=512, step=8, length=(1, 8), help="A modules: channels of each one's pool branch."
    )
    channels_7x7: tuple[int, ...] = knob(
        (128, 160, 160, 192), low=8, high=512, step=8, length=(1, 16), help="C modules: channels inside each one."
    )
    long: int = knobs.like(InceptionCSpec, "long")
    last_modules: int = knob(2, low=1, high=8, step=1, help="E modules.", paper=2)
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.5, paper=0.2)
    aux_head: bool = knob(True, help="A head after the C modules, in training only.", paper=True)

    @property
    def aux_map(self) -> int:
        """Side in pixels of the map that the auxiliary head reads."""
        shrink = 2 - 2 * self.stem_padding
        if self.stem_window == 7:
            side = (self.image_size - 1 - 3 * shrink) // self.stem_stride + 1
        else:
            side = (self.image_size - 1 - shrink) // self.stem_stride + 1 - shrink
        for index, halves in enumerate(self.stem_pools):
            side = (side - 3) // 2 + 1 if halves else side
            side -= shrink if index == 0 else 0
        return (side - 3 + 2 * self.reduction_padding) // 2 + 1

    def check(self) -> None:
        if self.aux_head and self.aux_map < AUX_MAP:
            why = f"the auxiliary head reads a map of {self.aux_map} px, and needs {AUX_MAP}"
            self.refuse("image_size", "aux_head", why=why)


class InceptionOutputs(NamedTuple):
    """What training with the auxiliary head returns; the order is torchvision's."""

    logits: Tensor
    aux_logits: Tensor


class InceptionAux(nn.Module):
    """The auxiliary classifier (paper, figure 8): pool, two convolutions, a linear layer."""

    def __init__(self, spec: InceptionV3Spec, in_channels: int) -> None:
        super().__init__()
        shared, (narrow, wide) = unit_spec(spec), (scaled(spec, 128), scaled(spec, 768))
        self.pool = pool("average", 5, 3)
        self.conv0 = unit(shared, in_channels, narrow)
        self.conv1 = unit(shared, narrow, wide, 5, padding=0)
        self.avgpool = global_pool("average")
        self.fc = nn.Linear(wide, spec.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.avgpool(self.conv1(self.conv0(self.pool(x)))), 1))


class InceptionV3(nn.Module):
    """Stem (`Conv2d_1a_3x3` … `maxpool2`), `Mixed_5b` …, global pool, linear layer: torchvision's names."""

    def __init__(self, spec: InceptionV3Spec) -> None:
        super().__init__()
        self._order: list[str] = []
        channels = self._add_modules(spec, self._add_stem(spec))
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout)
        self.fc = nn.Linear(channels, spec.num_classes)
        initialise(self)

    def _append(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self._order.append(name)

    def _add_stem(self, spec: InceptionV3Spec) -> int:
        shared, pad = unit_spec(spec), spec.stem_padding
        first, second, third, fourth, last = (scaled(spec, width) for width in spec.stem_widths)
        if spec.stem_window == 7:
            self._append("Conv2d_1a_7x7", unit(shared, spec.in_channels, third, 7, spec.stem_stride, 3 * pad))
        else:
            self._append("Conv2d_1a_3x3", unit(shared, spec.in_channels, first, 3, spec.stem_stride, pad))
            self._append("Conv2d_2a_3x3", unit(shared, first, second, 3, padding=pad))
            self._append("Conv2d_2b_3x3", unit(shared, second, third, 3))
        if spec.stem_pools[0]:
            self._append("maxpool1", pool(spec.pool, 3, 2))
        self._append("Conv2d_3b_1x1", unit(shared, third, fourth))
        self._append("Conv2d_4a_3x3", unit(shared, fourth, last, 3, padding=pad))
        if spec.stem_pools[1]:
            self._append("maxpool2", pool(spec.pool, 3, 2))
        return last

    def _add_modules(self, spec: InceptionV3Spec, channels: int) -> int:
        """Append the three stages and the reductions between them; returns the channels that leave."""
        for letter, features in zip("bcdefghi", spec.pool_features, strict=False):
            block = module_spec(spec, InceptionASpec, channels, pool_conv=features)
            self._append(f"Mixed_5{letter}", InceptionA(block))
            channels = block.out_channels
        first = module_spec(spec, InceptionBSpec, channels)
        self._append("Mixed_6a", InceptionB(first))
        channels = first.out_channels
        for letter, inner in zip("bcdefghijklmnopq", spec.channels_7x7, strict=False):
            block = module_spec(spec, InceptionCSpec, channels, inner7=inner, mid7=inner).replace(long=spec.long)
            self._append(f"Mixed_6{letter}", InceptionC(block))
            channels = block.out_channels
        self._aux_after = self._order[-1]
        self.AuxLogits = InceptionAux(spec, channels) if spec.aux_head else None
        second = module_spec(spec, InceptionDSpec, channels)
        self._append("Mixed_7a", InceptionD(second))
        channels = second.out_channels
        for letter in "bcdefghi"[: spec.last_modules]:
            block = module_spec(spec, InceptionESpec, channels)
            self._append(f"Mixed_7{letter}", InceptionE(block))
            channels = block.out_channels
        return channels

    def forward(self, x: Tensor) -> Tensor | InceptionOutputs:
        aux = None
        for name in self._order:
            x = getattr(self, name)(x)
            if self.training and self.AuxLogits is not None and name == self._aux_after:
                aux = self.AuxLogits(x)
        logits = self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))
        return logits if aux is None else InceptionOutputs(logits, aux)


def scaled(spec: InceptionV3Spec, width: int) -> int:
    """A width times the network's factor."""
    return max(1, round(width * spec.width_factor))


def unit_spec(spec: InceptionV3Spec) -> MixedSpec:
    """What all convolutions share."""
    return MixedSpec(activation=spec.activation, norm=spec.norm)


def module_spec(spec: InceptionV3Spec, kind: type[S], in_channels: int, **widths: int) -> S:
    """One module's own Spec, its widths times the network's factor."""
    own = kind.knobs()
    values: dict[str, object] = {name: scaled(spec, knob.default) for name, knob in own.items() if knob.step == 8}
    values |= {name: scaled(spec, width) for name, width in widths.items()}
    values |= {"in_channels": in_channels, "activation": spec.activation, "norm": spec.norm}
    if "padding" in own:
        return kind.parse({**values, "padding": spec.reduction_padding, "branch_pool": spec.pool})
    return kind.parse({**values, "branch_pool": spec.branch_pool})


def _presets() -> dict[str, Preset]:
    mini = InceptionV3Spec(
        num_classes=12, image_size=64, width_factor=0.125, stem_widths=(64, 64, 128, 128, 192), stem_padding=1,
        stem_pools=(False, True), reduction_padding=1, channels_7x7=(128, 160), last_modules=1, dropout=0.2,
        aux_head=False,
    )  # fmt: skip
    return {
        "inception_v3": Preset(InceptionV3Spec(), torchvision="inception_v3"),
        "inception_v3_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="inception_v3",
        title="Inception v3",
        year=2015,
        paper=PAPER,
        summary="Inception rethought: 7×7 as 1×7 and 7×1, branches that widen, and maps halved without a bottleneck.",
        spec=InceptionV3Spec,
        builder=InceptionV3,
        presets=_presets(),
    )
)
