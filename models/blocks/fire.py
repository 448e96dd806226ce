"""The fire module of SqueezeNet: a narrow 1×1 convolution, then wide 1×1 and 3×3 ones side by side."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.layers import Add, Concat, activation, conv, norm, sequence
from models.registry import Block, Paper, register
from models.spec import Spec, knob

PAPER = Paper(
    "F. N. Iandola, S. Han, M. W. Moskewicz, K. Ashraf, W. J. Dally, K. Keutzer",
    "SqueezeNet: AlexNet-level Accuracy with 50x Fewer Parameters and <0.5MB Model Size",
    "2016",
    "https://arxiv.org/abs/1602.07360",
)
BYPASSES = ("none", "simple", "complex")


class FireWidths(Spec):
    """Channels of one module's three convolutions; the defaults are fire2 (paper, table 1)."""

    squeeze: int = knob(16, low=1, high=512, step=8, help="Channels of the 1×1 that squeezes.", paper=16)
    expand1: int = knob(64, low=1, high=1024, step=8, help="Channels of the 1×1 that expands.", paper=64)
    expand3: int = knob(64, low=1, high=1024, step=8, help="Channels of the k×k that expands.", paper=64)

    @property
    def out_channels(self) -> int:
        """Channels of the concatenation."""
        return self.expand1 + self.expand3


class FireSpec(FireWidths):
    """One module on its own: its widths and what a network's modules share (paper, figure 1)."""

    in_channels: int = knobs.in_channels(96, high=4096)
    kernel: int = knobs.kernel(3)
    bypass: str = knob(
        "none",
        choices=BYPASSES,
        help="What is added to the output: nothing, the input where its channels are as many (simple), or the input "
        "through a 1×1 convolution where they are not (complex).",
        paper="none",
    )
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("none")


class Fire(nn.Module):
    """`squeeze`, then `expand1x1` and `expand3x3` concatenated, under torchvision's names."""

    def __init__(self, spec: FireSpec) -> None:
        super().__init__()
        bias = spec.norm == "none"
        self.squeeze = conv(spec.in_channels, spec.squeeze, 1, bias=bias)
        self.squeeze_act = norm_act(spec, spec.squeeze)
        self.expand1x1 = conv(spec.squeeze, spec.expand1, 1, bias=bias)
        self.expand1x1_act = norm_act(spec, spec.expand1)
        self.expand3x3 = conv(spec.squeeze, spec.expand3, spec.kernel, bias=bias)
        self.expand3x3_act = norm_act(spec, spec.expand3)
        self.concat = Concat()
        same = spec.in_channels == spec.out_channels
        self.project = None if same or spec.bypass != "complex" else conv(spec.in_channels, spec.out_channels, 1)
        self.add = Add() if spec.bypass == "complex" or (same and spec.bypass == "simple") else None

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze_act(self.squeeze(x))
        wide = self.expand3x3_act(self.expand3x3(squeezed))
        out = self.concat(self.expand1x1_act(self.expand1x1(squeezed)), wide)
        if self.add is None:
            return out
        return self.add(out, x if self.project is None else self.project(x))


def norm_act(spec: FireSpec, channels: int) -> nn.Module:
    """The activation, with the normalisation before it if there is one."""
    act = activation(spec.activation)
    return act if spec.norm == "none" else sequence(norm(spec.norm, channels), act)


def fitted(in_channels: int, width: int, stride: int) -> FireSpec:
    """The module in a slot of a network, with the paper's ratio of 1/8; it has no stride."""
    half = width // 2
    return FireSpec.parse(
        {"in_channels": in_channels, "squeeze": max(1, width // 8), "expand1": half, "expand3": width - half}
    )


register(
    Block(
        name="fire",
        title="Fire module",
        paper=PAPER,
        summary="Few channels reach the 3×3 convolution, and half of the output is 1×1: a ninth of the weights there.",
        spec=FireSpec,
        builder=Fire,
        input_size=(96, 56, 56),
        adapter=fitted,
    )
)
