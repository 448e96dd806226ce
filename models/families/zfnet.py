"""ZFNet (2013): AlexNet after a deconvnet had shown its first layers' faults: smaller windows and steps."""

from __future__ import annotations

from models import knobs
from models.registry import Architecture, Paper, Preset, register
from models.skeletons.conv_stack import ConvStack, ConvStackSpec

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

    widths: tuple[int, ...] = knobs.like(ConvStackSpec, "widths", paper=(96, 256, 384, 384, 256))
    kernels: tuple[int, ...] = knobs.like(ConvStackSpec, "kernels", (7, 5, 3, 3, 3))
    strides: tuple[int, ...] = knobs.like(ConvStackSpec, "strides", (2, 2, 1, 1, 1))
    paddings: tuple[int, ...] = knobs.like(ConvStackSpec, "paddings", (1, 0, 1, 1, 1))
    groups: tuple[int, ...] = knobs.like(ConvStackSpec, "groups", paper=(1, 1, 1, 1, 1))
    lrn_after_pool: bool = knobs.like(ConvStackSpec, "lrn_after_pool", True)
    pool_ceil: bool = knobs.like(ConvStackSpec, "pool_ceil", True)
    fc_widths: tuple[int, ...] = knobs.like(ConvStackSpec, "fc_widths", paper=(4096, 4096))


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
