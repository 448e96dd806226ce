"""GoogLeNet (2014): nine Inception modules in three stages, global pooling, and two auxiliary heads in training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.inception import BATCH_NORM_EPS, PAPER, Inception, InceptionSpec, InceptionWidths
from models.layers import ConvNormAct, activation, global_pool, initialise, pool
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob

Stages = tuple[tuple[InceptionWidths, ...], ...]
_WITH_HEADS = {"aux_heads": (True,)}
AUX_SIDE = 4  # side of the map that an auxiliary head flattens: 14 px through a 5×5 pool of stride 3


def modules(*rows: tuple[int, int, int, int, int, int]) -> tuple[InceptionWidths, ...]:
    """One stage, a row per module as in table 1: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj."""
    return tuple(InceptionWidths.parse(dict(zip(InceptionWidths.model_fields, row, strict=True))) for row in rows)


TABLE_1: Stages = (
    modules((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    modules(
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    modules((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


class GoogLeNetSpec(NetSpec):
    """The paper's table 1; the defaults are torchvision's, with batch norm and 3×3 in place of 5×5."""

    stages: Stages = TABLE_1
    stem_kernel: int = knobs.stem_kernel(7)
    stem_stride: int = knobs.stem_stride(2)
    stem_widths: tuple[int, ...] = knobs.stem_widths((64, 64, 192))
    lrn: bool = knob(False, help="Local response normalisation after the first pool and before the second.", paper=True)
    kernel5: int = knobs.like(InceptionSpec, "kernel5", 3, paper=5)
    pool: str = knobs.pool("max", help="How the map is halved between stages.")
    last_pool: int = knob(2, choices=(2, 3), help="Side of the last of these pools' window.", paper=3)
    branch_pool: str = knobs.branch_pool("max")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch", paper="none")
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.2, paper=0.4)
    aux_heads: bool = knob(True, help="Two heads inside the second stage, in training only.", paper=True)
    aux_pool: str = knob(
        "adaptive", choices=("adaptive", "5x5"), paper="5x5", needs=_WITH_HEADS,
        help="How an auxiliary head pools: to 4×4 whatever the map, or a 5×5 average of stride 3.",
    )  # fmt: skip
    aux_width: int = knob(128, low=1, high=1024, step=8, paper=128, needs=_WITH_HEADS,
                          help="Channels of its 1×1 convolution.")  # fmt: skip
    aux_hidden: int = knob(1024, low=1, high=4096, step=64, paper=1024, needs=_WITH_HEADS,
                           help="Width of its hidden linear layer.")  # fmt: skip
    aux_dropout: float = knob(0.7, low=0.0, high=0.9, step=0.05, paper=0.7, needs=_WITH_HEADS,
                              help="Share of its features dropped.")  # fmt: skip

    @property
    def aux_map(self) -> int:
        """Side in pixels of the map that the auxiliary heads read, after the stem's stride and three pools."""
        side = (self.image_size - 1) // self.stem_stride + 1
        for kernel in (3, 3, self.last_pool if len(self.stages) == 2 else 3):
            side = (side - kernel + 1) // 2 + 1
        return side

    def check(self) -> None:
        depths = [len(stage) for stage in self.stages]
        if not 1 <= len(depths) <= 6 or not all(1 <= depth <= 16 for depth in depths):
            raise ValueError(f"stages has {depths} modules; it takes 1 to 6 stages of 1 to 16 modules")
        if self.aux_heads and (len(depths) < 2 or depths[1] < 3):
            raise ValueError(f"aux_heads=True: needs a second stage of 3 modules or more, and stages has {depths}")
        if self.aux_heads and self.aux_pool == "5x5" and self.aux_map < 5:
            why = f"the 5×5 pool of the auxiliary heads does not fit their map of {self.aux_map} px"
            self.refuse("image_size", "aux_pool", why=why)


class GoogLeNetOutputs(NamedTuple):
    """What training with auxiliary heads returns; the order is torchvision's."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class InceptionAux(nn.Module):
    """An auxiliary classifier (paper, section 5): pool, 1×1 convolution, two linear layers."""

    def __init__(self, spec: GoogLeNetSpec, in_channels: int) -> None:
        super().__init__()
        to_side = global_pool("average", AUX_SIDE)
        # At the paper's 224 px the 5×5 pool leaves 4×4 already and `to_side` changes nothing.
        self.pool = to_side if spec.aux_pool == "adaptive" else nn.Sequential(pool("average", 5, 3), to_side)
        self.conv = conv_unit(spec, in_channels, spec.aux_width, 1)
        self.fc1 = nn.Linear(spec.aux_width * AUX_SIDE**2, spec.aux_hidden)
        self.act = activation(spec.activation)
        self.dropout = nn.Dropout(spec.aux_dropout)
        self.fc2 = nn.Linear(spec.aux_hidden, spec.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.conv(self.pool(x)), 1)
        return self.fc2(self.dropout(self.act(self.fc1(x))))


class GoogLeNet(nn.Module):
    """Stem (`conv1` … `maxpool2`), `inception3a` …, global pool, linear layer: torchvision's names."""

    def __init__(self, spec: GoogLeNetSpec) -> None:
        super().__init__()
        self._order: list[str] = []
        self._aux_after: dict[str, str] = {}
        self._add_stem(spec)
        channels = spec.stem_widths[-1]
        for number, stage in enumerate(spec.stages, start=3):
            if number > 3:
                kernel = spec.last_pool if number == len(spec.stages) + 2 else 3
                self._append(f"maxpool{number - 1}", pool(spec.pool, kernel, 2, ceil_mode=True))
            channels = self._add_stage(spec, number, stage, channels)
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout)
        self.fc = nn.Linear(channels, spec.num_classes)
        initialise(self)

    def _append(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self._order.append(name)

    def _add_stem(self, spec: GoogLeNetSpec) -> None:
        first, second, third = spec.stem_widths
        self._append("conv1", conv_unit(spec, spec.in_channels, first, spec.stem_kernel, spec.stem_stride))
        self._append("maxpool1", pool(spec.pool, 3, 2, ceil_mode=True))
        if spec.lrn:
            self._append("lrn1", nn.LocalResponseNorm(5))
        self._append("conv2", conv_unit(spec, first, second, 1))
        self._append("conv3", conv_unit(spec, second, third, 3))
        if spec.lrn:
            self._append("lrn2", nn.LocalResponseNorm(5))
        self._append("maxpool2", pool(spec.pool, 3, 2, ceil_mode=True))

    def _add_stage(self, spec: GoogLeNetSpec, number: int, stage: tuple[InceptionWidths, ...], channels: int) -> int:
        """Append the stage's modules, with the auxiliary heads in stage 4; returns the channels that leave it."""
        aux_at = {0: "aux1", len(stage) - 2: "aux2"} if spec.aux_heads and number == 4 else {}
        for index, widths in enumerate(stage):
            name = f"inception{number}{chr(ord('a') + index)}"
            self._append(name, Inception(module_spec(spec, widths, channels)))
            channels = widths.out_channels
            if index in aux_at:
                self._aux_after[name] = aux_at[index]
                self.add_module(aux_at[index], InceptionAux(spec, channels))
        return channels

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        aux = []
        for name in self._order:
            x = getattr(self, name)(x)
            if self.training and name in self._aux_after:
                aux.append(getattr(self, self._aux_after[name])(x))
        logits = self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))
        return GoogLeNetOutputs(logits, aux[1], aux[0]) if aux else logits


def conv_unit(spec: GoogLeNetSpec, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> ConvNormAct:
    """A convolution with the network's norm and activation."""
    return ConvNormAct(
        in_channels, out_channels, kernel, stride, norm_kind=spec.norm, act=spec.activation, eps=BATCH_NORM_EPS
    )


def module_spec(spec: GoogLeNetSpec, widths: InceptionWidths, in_channels: int) -> InceptionSpec:
    """One module's own Spec: its widths and what the network's modules share."""
    return InceptionSpec(
        in_channels=in_channels, kernel5=spec.kernel5, branch_pool=spec.branch_pool,
        activation=spec.activation, norm=spec.norm, **dict(widths),
    )  # fmt: skip


def _presets() -> dict[str, Preset]:
    original = GoogLeNetSpec(kernel5=5, norm="none", lrn=True, last_pool=3, dropout=0.4, aux_pool="5x5")
    mini = GoogLeNetSpec(
        num_classes=12, image_size=64, stem_kernel=3, stem_stride=1, stem_widths=(16, 16, 24), aux_heads=False,
        kernel5=5,
        stages=(
            modules((16, 16, 32, 8, 16, 16), (24, 24, 40, 8, 16, 16)),
            modules((32, 32, 64, 8, 24, 24), (48, 40, 72, 12, 32, 32)),
            modules((64, 64, 112, 16, 40, 40)),
        ),
    )  # fmt: skip
    return {
        "googlenet": Preset(GoogLeNetSpec(), torchvision="googlenet"),
        "googlenet_2014": Preset(original, note="As published: true 5×5 windows, no batch norm, LRN in the stem."),
        "googlenet_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="googlenet",
        title="GoogLeNet",
        year=2014,
        paper=PAPER,
        summary="Inception modules look at each map through several window sizes at once, at 1.5 G MACs in all.",
        spec=GoogLeNetSpec,
        builder=GoogLeNet,
        presets=_presets(),
    )
)
