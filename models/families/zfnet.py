"""ZFNet (2013): AlexNet after a deconvnet had shown its first layers' faults: smaller windows and steps.

M. D. Zeiler, R. Fergus: Visualizing and Understanding Convolutional Networks, https://arxiv.org/abs/1311.2901. This
file follows its figure 3: the plan, the unit, the stage of all units, the network, the presets. What the plan has in
common with LeNet's and AlexNet's is in models/skeletons/conv_stack.py.

    layer         window   step   channels   pool         map
    1             7×7      2      96         3×3, step 2  224 → 110 → 55 px
    2             5×5      2      256        3×3, step 2  55 → 26 → 13 px
    3, 4          3×3      1      384                     13 px
    5             3×3      1      256        3×3, step 2  13 → 6 px
    6, 7, 8                       4096, 4096, classes     linear
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import knobs
from models.layers import global_pool, initialise
from models.registry import Architecture, Paper, Preset, register
from models.skeletons.conv_stack import ConvStackSpec, classifier, side_px, stack_layers

PAPER = Paper(
    "M. D. Zeiler, R. Fergus",
    "Visualizing and Understanding Convolutional Networks",
    "ECCV 2014",
    "https://arxiv.org/abs/1311.2901",
)


class ZFNetSpec(ConvStackSpec):
    """The plan: one entry per convolution (figure 3).

    The paper leaves the borders open; a zero around the image and pools that round up give its sizes.
    """

    widths: tuple[int, ...] = knobs.like(ConvStackSpec, "widths", (96, 256, 384, 384, 256))
    kernels: tuple[int, ...] = knobs.like(ConvStackSpec, "kernels", (7, 5, 3, 3, 3))
    strides: tuple[int, ...] = knobs.like(ConvStackSpec, "strides", (2, 2, 1, 1, 1))
    paddings: tuple[int, ...] = knobs.like(ConvStackSpec, "paddings", (1, 0, 1, 1, 1))
    groups: tuple[int, ...] = knobs.like(ConvStackSpec, "groups", (1, 1, 1, 1, 1))
    lrn_after_pool: bool = knobs.like(ConvStackSpec, "lrn_after_pool", True)
    pool_ceil: bool = knobs.like(ConvStackSpec, "pool_ceil", True)
    fc_widths: tuple[int, ...] = knobs.like(ConvStackSpec, "fc_widths", (4096, 4096))


def unit(spec: ZFNetSpec, index: int) -> list[nn.Module]:
    """One convolution, counted from 0: convolution, activation, then the pool and the normalisation that follow it."""
    return stack_layers(spec, index)


def stage(spec: ZFNetSpec) -> nn.Sequential:
    """All units in a row: from pixels to the last map of features."""
    return nn.Sequential(*(layer for index in range(len(spec.widths)) for layer in unit(spec, index)))


class ZFNet(nn.Module):
    """Convolutions (`features`), a pool to the side that the head reads (`avgpool`), linear layers (`classifier`)."""

    def __init__(self, spec: ZFNetSpec) -> None:
        super().__init__()
        self.features = stage(spec)
        self.avgpool = global_pool("average", side_px(spec))
        self.classifier = classifier(spec)
        initialise(self, linear_std=None)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


PRESETS = {
    "zfnet": Preset(ZFNetSpec()),
    "zfnet_wide": Preset(
        ZFNetSpec(widths=(96, 256, 512, 1024, 512)), note="Table 3's best single model: wider layers 3 to 5."
    ),
    # At 64 px a second convolution of stride 2 would leave 4×4 maps at layers 3 to 5; stride 1 leaves 8×8.
    "zfnet_mini": Preset(
        ZFNetSpec(
            num_classes=12, image_size=64, widths=(24, 48, 80, 80, 64), strides=(2, 1, 1, 1, 1),
            paddings=(3, 2, 1, 1, 1), norm="batch", norm_layers=5, head_size=4, fc_widths=(128, 128), dropout=0.2,
        ),
        compact=True,
    ),
}  # fmt: skip

register(
    Architecture(
        name="zfnet",
        title="ZFNet",
        year=2013,
        paper=PAPER,
        summary="AlexNet with 7×7 windows of stride 2 first, found by looking at what its layers respond to.",
        spec=ZFNetSpec,
        builder=ZFNet,
        presets=PRESETS,
    )
)
