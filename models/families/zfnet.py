"""ZFNet (2013): AlexNet after a deconvnet had shown its first layers' faults: smaller windows and steps."""

from __future__ import annotations

from models.registry import Architecture, Paper, Preset, register
from models.skeletons.conv_stack import ConvStack, ConvStackSpec, fc_widths, groups, kernels, paddings, strides, widths
from models.spec import knob

PAPER = Paper(
    "M. D. Zeiler, R. Fergus",
    "Visualizing and Understanding Convolutional Networks",
    "ECCV 2014",
    "https://arxiv.org/abs/1311.2901",
)


class ZFNetSpec(ConvStackSpec):
    """Figure 3: 224 → 110 → 55 → 26 → 13 → 6 px.

    The paper leaves the borders open; a zero around the image and pools that round up give its sizes.
    """

    widths: tuple[int, ...] = widths((96, 256, 384, 384, 256), paper=(96, 256, 384, 384, 256))
    kernels: tuple[int, ...] = kernels((7, 5, 3, 3, 3), paper=(7, 5, 3, 3, 3))
    strides: tuple[int, ...] = strides((2, 2, 1, 1, 1), paper=(2, 2, 1, 1, 1))
    paddings: tuple[int, ...] = paddings((1, 0, 1, 1, 1), paper=(1, 0, 1, 1, 1))
    groups: tuple[int, ...] = groups((1, 1, 1, 1, 1), paper=(1, 1, 1, 1, 1))
    lrn_after_pool: bool = knob(
        True, choices=(False, True), help="Whether lrn follows the pool or comes before it.", paper=True
    )
    pool_ceil: bool = knob(
        True,
        choices=(False, True),
        help="Whether a pool's last window may reach over the border.",
        paper=True,
    )
    fc_widths: tuple[int, ...] = fc_widths((4096, 4096), paper=(4096, 4096))


def _presets() -> dict[str, Preset]:
    # At 64 px a second convolution of stride 2 would leave 4×4 maps at layers 3 to 5; stride 1 leaves 8×8.
    mini = ZFNetSpec(
        num_classes=12,
        image_size=64,
        widths=(24, 48, 80, 80, 64),
        strides=(2, 1, 1, 1, 1),
        paddings=(3, 2, 1, 1, 1),
        norm="batch",
        norm_layers=5,
        head_size=4,
        fc_widths=(128, 128),
        dropout=0.2,
    )
    return {
        "zfnet": Preset(ZFNetSpec()),
        "zfnet_wide": Preset(
            ZFNetSpec(widths=(96, 256, 512, 1024, 512)),
            note="Table 3's best single model: wider layers 3 to 5.",
        ),
        "zfnet_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="zfnet",
        title="ZFNet",
        year=2013,
        paper=PAPER,
        summary="AlexNet with 7×7 windows of stride 2 first, found by looking at what its layers respond to.",
        spec=ZFNetSpec,
        builder=ConvStack,
        presets=_presets(),
    )
)
