"""The modules of Inception-ResNet v2: Inception branches, brought back to the input's width, shrunk and added to it."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from models import knobs
from models.blocks.attention import attention
from models.blocks.mixed import Mixed, MixedSpec, Step, channels, unit
from models.layers import Add, activation, conv
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi",
    "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    "AAAI 2017",
    "https://arxiv.org/abs/1602.07261",
)


def scale(default: float) -> float:
    """Knob: the factor on the residual."""
    return knob(default, low=0.05, high=1.0, step=0.01, help="Factor on what is added (section 3.3: 0.1 to 0.3).")


class InceptionResNetSpec(knobs.AttentionKnobs, MixedSpec):
    """What the three residual modules have; they keep the shape of their input."""

    activate: bool = knob(True, help="Whether an activation follows the add; not in the network's last.", paper=True)
    scale: float = scale(0.2)

    @property
    def out_channels(self) -> int:
        """Channels that leave the module."""
        return self.in_channels


class InceptionResNetASpec(InceptionResNetSpec):
    """Figure 16 of the paper, for 35×35 maps."""

    in_channels: int = knobs.kept_channels(320, high=8192)
    scale: float = scale(0.17)
    conv1: int = channels(32, "1×1 branch: its channels, and those of the 1×1 in the others.")
    conv3: int = knobs.conv3(32)
    mid_double: int = knobs.mid_double(48)
    conv_double: int = knobs.conv_double(64)

    outputs: ClassVar[tuple[str, ...]] = ("conv1", "conv3", "conv_double")


class InceptionResNetBSpec(InceptionResNetSpec):
    """Figure 17 of the paper, for 17×17 maps: 1×1 · 1×1, 1×n, n×1."""

    in_channels: int = knobs.kept_channels(1088, high=8192)
    scale: float = scale(0.1)
    conv1: int = knobs.conv1(192)
    reduce: int = channels(128, "Long branch: the 1×1.")
    mid: int = channels(160, "Long branch: the 1×n.")
    conv: int = channels(192, "Long branch: the n×1.")
    long: int = knobs.long_side(7)

    outputs: ClassVar[tuple[str, ...]] = ("conv1", "conv")


class InceptionResNetCSpec(InceptionResNetBSpec):
    """Figure 19 of the paper, for 8×8 maps: as B with shorter windows."""

    in_channels: int = knobs.kept_channels(2080, high=8192)
    scale: float = scale(0.2)
    reduce: int = knobs.like(InceptionResNetBSpec, "reduce", 192)
    mid: int = knobs.like(InceptionResNetBSpec, "mid", 224)
    conv: int = knobs.like(InceptionResNetBSpec, "conv", 256)
    long: int = knobs.long_side(3)


class Times(nn.Module):
    """The input times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class InceptionResNetModule(nn.Module):
    """act(x + scale · conv2d(branches x)); the last 1×1 has a bias and no norm."""

    def __init__(self, spec: InceptionResNetSpec) -> None:
        super().__init__()
        branches = thin_branches(spec) if isinstance(spec, InceptionResNetBSpec) else square_branches(spec)
        self.branches = Mixed(*branches)
        joined = sum(getattr(spec, name) for name in spec.outputs)
        self.conv2d = conv(joined, spec.in_channels, 1)
        self.attention = attention(spec.attention, spec.in_channels, spec.attention_reduction)
        self.times = Times(spec.scale)
        self.add = Add()
        self.act = activation(spec.activation if spec.activate else "none")

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.add(self.times(self.attention(self.conv2d(self.branches(x)))), x))


def square_branches(spec: InceptionResNetSpec) -> list[list[Step]]:
    """1×1 · 1×1, 3×3 · 1×1, 3×3, 3×3."""
    assert isinstance(spec, InceptionResNetASpec)
    wide, narrow = spec.in_channels, spec.conv1
    return [
        [("branch1x1", unit(spec, wide, narrow))],
        [("branch3x3_1", unit(spec, wide, narrow)), ("branch3x3_2", unit(spec, narrow, spec.conv3, 3))],
        [
            ("branch3x3dbl_1", unit(spec, wide, narrow)),
            ("branch3x3dbl_2", unit(spec, narrow, spec.mid_double, 3)),
            ("branch3x3dbl_3", unit(spec, spec.mid_double, spec.conv_double, 3)),
        ],
    ]


def thin_branches(spec: InceptionResNetBSpec) -> list[list[Step]]:
    """1×1 · 1×1, 1×n, n×1."""
    wide = spec.in_channels
    return [
        [("branch1x1", unit(spec, wide, spec.conv1))],
        [
            ("branch_long_1", unit(spec, wide, spec.reduce)),
            ("branch_long_2", unit(spec, spec.reduce, spec.mid, (1, spec.long))),
            ("branch_long_3", unit(spec, spec.mid, spec.conv, (spec.long, 1))),
        ],
    ]


def fit(kind: type[InceptionResNetSpec], in_channels: int, width: int, stride: int) -> InceptionResNetSpec:
    """The module in a slot of a network: its inside in proportion to its width; it has no stride."""
    factor = in_channels / kind().in_channels
    widths = {name: max(1, round(knob.default * factor)) for name, knob in kind.knobs().items() if knob.step == 8}
    return kind.parse({**widths, "in_channels": in_channels})


for letter, spec_type, size, windows in (
    ("a", InceptionResNetASpec, (320, 35, 35), "3×3 windows, one and two deep"),
    ("b", InceptionResNetBSpec, (1088, 17, 17), "a 7×7 as 1×7 and 7×1"),
    ("c", InceptionResNetCSpec, (2080, 8, 8), "a 3×3 as 1×3 and 3×1"),
):
    register(
        Block(
            name=f"inception_resnet_{letter}",
            title=f"Inception-ResNet module {letter.upper()} (v2)",
            paper=PAPER,
            summary=f"Inception branches ({windows}) make a small change to the input, scaled down and added.",
            spec=spec_type,
            builder=InceptionResNetModule,
            input_size=size,
            adapter=partial(fit, spec_type),
        )
    )
