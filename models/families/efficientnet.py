"""EfficientNet (2019) and v2 (2021): one small network of MBConv blocks, and larger ones scaled from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.attention import start_attention
from models.blocks.inverted_residual import convolution, scaled
from models.blocks.mbconv import FUSED_PAPER, PAPER, FusedMBConv, FusedMBConvSpec, MBConv, MBConvSpec
from models.layers import global_pool, initialise
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, Spec, knob


class Stage(Spec):
    """One row of the papers' tables: the block, and how many of it."""

    block: str = knob("mbconv", choices=("mbconv", "fused_mbconv"), help="MBConv, or Fused-MBConv (without attention).")
    expansion: float = knobs.expansion(6.0, paper=None)
    kernel: int = knobs.kernel(3, help="Side of the k×k window.", paper=None)
    stride: int = knobs.first_stride(1)
    width: int = knobs.stage_width(64)
    depth: int = knobs.depth(1, high=25)


Stages = tuple[Stage, ...]


def fused(expansion: float, stride: int, width: int, depth: int) -> Stage:
    """A stage of Fused-MBConv blocks."""
    return Stage(block="fused_mbconv", expansion=expansion, stride=stride, width=width, depth=depth)


B0: Stages = (
    Stage(expansion=1, width=16, depth=1),
    Stage(stride=2, width=24, depth=2),
    Stage(kernel=5, stride=2, width=40, depth=2),
    Stage(stride=2, width=80, depth=3),
    Stage(kernel=5, width=112, depth=3),
    Stage(kernel=5, stride=2, width=192, depth=4),
    Stage(width=320, depth=1),
)
V2_S: Stages = (
    fused(expansion=1, stride=1, width=24, depth=2),
    fused(expansion=4, stride=2, width=48, depth=4),
    fused(expansion=4, stride=2, width=64, depth=4),
    Stage(expansion=4, stride=2, width=128, depth=6),
    Stage(width=160, depth=9),
    Stage(stride=2, width=256, depth=15),
)
V2_M: Stages = (
    fused(expansion=1, stride=1, width=24, depth=3),
    fused(expansion=4, stride=2, width=48, depth=5),
    fused(expansion=4, stride=2, width=80, depth=5),
    Stage(expansion=4, stride=2, width=160, depth=7),
    Stage(width=176, depth=14),
    Stage(stride=2, width=304, depth=18),
    Stage(width=512, depth=5),
)
V2_L: Stages = (
    fused(expansion=1, stride=1, width=32, depth=4),
    fused(expansion=4, stride=2, width=64, depth=7),
    fused(expansion=4, stride=2, width=96, depth=7),
    Stage(expansion=4, stride=2, width=192, depth=10),
    Stage(width=224, depth=19),
    Stage(stride=2, width=384, depth=25),
    Stage(width=640, depth=7),
)


class EfficientNetSpec(knobs.AttentionKnobs, NetSpec):
    """B0 of the paper's table 1; B1 to B7 scale width, depth and the resolution, image_size, together (eq. 3)."""

    image_size: int = knobs.image_size(224, step=4, paper=None)
    stages: Stages = B0
    width_multiplier: float = knobs.width_multiplier(1.0, high=3.0)
    depth_multiplier: float = knob(
        1.0, low=0.25, high=4.0, step=0.05, help="Scales the blocks of every stage, rounded up.", paper=1.0
    )
    attention: str = knobs.like(MBConvSpec, "attention")
    activation: str = knobs.activation("silu")
    norm: str = knobs.norm("batch")
    norm_eps: float = knobs.norm_eps(1e-5, paper=1e-3)
    skip: bool = knobs.skip(True)
    drop_path: float = knobs.drop_path_by_share(0.2)
    stem_kernel: int = knobs.stem_kernel(3, choices=(1, 3, 5, 7))
    stem_stride: int = knobs.stem_stride(2)
    stem_width: int = knobs.stem_width(32)
    head_width: int = knobs.head_width(1280)
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.2)

    def check(self) -> None:
        if not 1 <= len(self.stages) <= 12:
            raise ValueError(f"stages has {len(self.stages)} entries; it takes 1 to 12")


class EfficientNetV2Spec(EfficientNetSpec):
    """S of the paper's table 4; M and L have stages of their own."""

    stages: Stages = V2_S
    norm_eps: float = knobs.like(EfficientNetSpec, "norm_eps", 1e-3)
    stem_width: int = knobs.like(EfficientNetSpec, "stem_width", 24)


class EfficientNet(nn.Module):
    """Stem, stages and a 1×1 convolution in `features`, global pool, `classifier`: torchvision's names."""

    def __init__(self, spec: EfficientNetSpec) -> None:
        super().__init__()
        kind, act = spec.norm, spec.activation
        channels = scaled(spec.stem_width, spec.width_multiplier)
        stem = convolution(spec.in_channels, channels, spec.stem_kernel, kind, act, spec.stem_stride)
        layers = [nn.Sequential(*stem)]
        for index in range(len(spec.stages)):
            layers.append(stage(spec, index, channels))
            channels = scaled(spec.stages[index].width, spec.width_multiplier)
        head = scaled(spec.head_width, spec.width_multiplier)
        self.features = nn.Sequential(*layers, nn.Sequential(*convolution(channels, head, 1, kind, act)))
        self.avgpool = global_pool(spec.head_pool)
        self.classifier = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(head, spec.num_classes))
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | nn.LayerNorm):
                layer.eps = spec.norm_eps
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def depths(spec: EfficientNetSpec) -> list[int]:
    """Blocks of each stage after scaling."""
    return [math.ceil(stage.depth * spec.depth_multiplier) for stage in spec.stages]


def stage(spec: EfficientNetSpec, index: int, in_channels: int) -> nn.Sequential:
    """The blocks of one stage; the first carries the stride and the change of channels."""
    row, counts = spec.stages[index], depths(spec)
    width = scaled(row.width, spec.width_multiplier)
    blocks: list[nn.Module] = []
    for number in range(counts[index]):
        knobs = {
            "in_channels": width if number else in_channels, "width": width, "expansion": row.expansion,
            "kernel": row.kernel, "stride": 1 if number else row.stride, "activation": spec.activation,
            "norm": spec.norm, "skip": spec.skip,
            "drop_path": spec.drop_path * (sum(counts[:index]) + number) / sum(counts),
        }  # fmt: skip
        if row.block == "fused_mbconv":
            blocks.append(FusedMBConv(FusedMBConvSpec(**knobs)))
        else:
            weigh = {"attention": spec.attention, "attention_reduction": spec.attention_reduction}
            blocks.append(MBConv(MBConvSpec(**knobs, **weigh, squeeze_activation=spec.activation)))
    return nn.Sequential(*blocks)


def _presets() -> dict[str, Preset]:
    # Width, depth and dropout of the authors' code; the image sizes that torchvision's weights expect.
    sizes = {
        "b0": {"width_multiplier": 1.0, "depth_multiplier": 1.0, "image_size": 224, "dropout": 0.2},
        "b1": {"width_multiplier": 1.0, "depth_multiplier": 1.1, "image_size": 240, "dropout": 0.2},
        "b2": {"width_multiplier": 1.1, "depth_multiplier": 1.2, "image_size": 288, "dropout": 0.3},
        "b3": {"width_multiplier": 1.2, "depth_multiplier": 1.4, "image_size": 300, "dropout": 0.3},
        "b4": {"width_multiplier": 1.4, "depth_multiplier": 1.8, "image_size": 380, "dropout": 0.4},
        "b5": {"width_multiplier": 1.6, "depth_multiplier": 2.2, "image_size": 456, "dropout": 0.4, "norm_eps": 1e-3},
        "b6": {"width_multiplier": 1.8, "depth_multiplier": 2.6, "image_size": 528, "dropout": 0.5, "norm_eps": 1e-3},
        "b7": {"width_multiplier": 2.0, "depth_multiplier": 3.1, "image_size": 600, "dropout": 0.5, "norm_eps": 1e-3},
    }
    mini = EfficientNetSpec(
        num_classes=12, image_size=64, stem_width=16, head_width=256, drop_path=0.0,
        stages=(
            Stage(expansion=1, width=16, depth=1),
            Stage(expansion=4, stride=2, width=24, depth=2),
            Stage(expansion=4, kernel=5, width=32, depth=2),
            Stage(expansion=4, stride=2, width=64, depth=3),
        ),
    )  # fmt: skip
    names = {size: f"efficientnet_{size}" for size in sizes}
    full = {names[size]: Preset(EfficientNetSpec(**knobs), torchvision=names[size]) for size, knobs in sizes.items()}
    return {**full, "efficientnet_mini": Preset(mini, compact=True)}


def _presets_v2() -> dict[str, Preset]:
    sizes = {
        "efficientnet_v2_s": {"image_size": 384, "dropout": 0.2},
        "efficientnet_v2_m": {"stages": V2_M, "image_size": 480, "dropout": 0.3},
        "efficientnet_v2_l": {"stages": V2_L, "stem_width": 32, "image_size": 480, "dropout": 0.4},
    }
    mini = EfficientNetV2Spec(
        num_classes=12, image_size=64, stem_width=16, head_width=256, drop_path=0.0, norm_eps=1e-5,
        stages=(
            fused(expansion=1, stride=1, width=16, depth=1),
            fused(expansion=2, stride=2, width=24, depth=2),
            Stage(expansion=4, stride=1, width=32, depth=2),
            Stage(expansion=4, stride=2, width=64, depth=3),
        ),
    )  # fmt: skip
    full = {name: Preset(EfficientNetV2Spec(**knobs), torchvision=name) for name, knobs in sizes.items()}
    return {**full, "efficientnet_v2_mini": Preset(mini, compact=True)}


register(
    Architecture(
        name="efficientnet",
        title="EfficientNet",
        year=2019,
        paper=PAPER,
        summary="A searched network of MBConv blocks, scaled in width, depth and resolution at once.",
        spec=EfficientNetSpec,
        builder=EfficientNet,
        presets=_presets(),
    )
)
register(
    Architecture(
        name="efficientnet_v2",
        title="EfficientNet v2",
        year=2021,
        paper=FUSED_PAPER,
        summary="Fused-MBConv blocks where maps are large, MBConv where they are small: it trains far faster.",
        spec=EfficientNetV2Spec,
        builder=EfficientNet,
        presets=_presets_v2(),
    )
)
