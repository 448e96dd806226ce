"""Lineages: from one published network to a later one by single edits, each a Spec that can be opened.

The first and the last step are presets as they are. What stands between was published as a step on the way, or follows
from the two papers; each says where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import models
from explorer.networks.knob_text import plain
from models.spec import NetSpec


@dataclass(frozen=True)
class LineageStep:
    """One edit: what it is called, why it was made, where that was published, and the network after it."""

    title: str
    why: str
    source: str
    preset: str
    knobs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> NetSpec:
        """The Spec of the step, validated."""
        return models.spec(self.preset, **self.knobs)

    @property
    def plain_knobs(self) -> dict[str, Any]:
        """The knobs as plain values."""
        values = plain(self.spec)
        return {name: values[name] for name in self.knobs}


@dataclass(frozen=True)
class Lineage:
    """The way from one network to another, step by step."""

    name: str
    title: str
    steps: tuple[LineageStep, ...]

    def place(self, spec: NetSpec) -> int | None:
        """The step that a network is at, counted from 0; None where it is on none."""
        return next((number for number, step in enumerate(self.steps) if step.spec == spec), None)


def _grown(*edits: tuple[str, str, str, str, Mapping[str, Any]]) -> tuple[LineageStep, ...]:
    """Steps of which each keeps the knobs of the one before it, where it is of the same preset."""
    steps: list[LineageStep] = []
    for title, why, source, preset, knobs in edits:
        kept = steps[-1].knobs if steps and steps[-1].preset == preset else {}
        steps.append(LineageStep(title, why, source, preset, {**kept, **knobs}))
    return tuple(steps)


_ZF = "Zeiler and Fergus 2013, "
ALEXNET_TO_ZFNET = Lineage(
    "zfnet",
    "AlexNet → ZFNet",
    (
        *_grown(
            ("AlexNet", "Two towers on two GPUs, which exchange their maps at the third convolution only.",
             "Krizhevsky et al. 2012, section 3.5", "alexnet_2012", {}),
            ("One tower", "A larger GPU holds the whole network, so the second, fourth and fifth convolutions see all "
             "channels.", _ZF + "section 3", "alexnet_2012", {"groups": (1, 1, 1, 1, 1)}),
            ("A first window of 7×7", "The deconvnet shows high and low frequencies in the first layer and few "
             "between: its window is too wide.", _ZF + "section 4.1", "alexnet_2012",
             {"kernels": (7, 5, 3, 3, 3), "paddings": (1, 2, 1, 1, 1)}),
            ("A first stride of 2", "The second layer shows aliasing from the stride of 4; twice as many positions "
             "keep the detail.", _ZF + "section 4.1", "alexnet_2012", {"strides": (2, 1, 1, 1, 1)}),
            ("The second convolution strides too", "The maps are twice as large now: the second convolution halves "
             "them, so that the later layers keep their size.", _ZF + "figure 3", "alexnet_2012",
             {"strides": (2, 2, 1, 1, 1), "paddings": (1, 0, 1, 1, 1)}),
        ),
        LineageStep("ZFNet", "Contrast is normalised after each of the first two pools, which keep the windows at the "
                    "border.", _ZF + "figure 3", "zfnet"),
    ),
)  # fmt: skip

_RETHINKING = "Szegedy et al. 2016, "
INCEPTION_V1_TO_V3 = Lineage(
    "inception_v3",
    "Inception v1 → v3",
    (
        *_grown(
            ("Inception v1", "Windows of 1×1, 3×3 and 5×5 side by side, kept cheap by 1×1 convolutions before them.",
             "Szegedy et al. 2015, table 1", "googlenet_2014", {}),
            ("Batch normalisation", "Normalised over the batch, each layer can learn fast; the response normalisation "
             "of the stem is not needed any more.", "Ioffe and Szegedy 2015, section 4.2", "googlenet_2014",
             {"norm": "batch", "lrn": False}),
        ),
        LineageStep("Two 3×3 for each 5×5", "They see as far with 18/25 of the weights; strided modules replace the "
                    "pools between stages.", "Ioffe and Szegedy 2015, appendix", "inception_v2"),
        *_grown(
            ("Three kinds of modules", "Wide windows for large maps, windows one pixel thin for small ones, and "
             "reductions that widen before they shrink.", _RETHINKING + "sections 3.2 and 5", "inception_v3",
             {"image_size": 224, "aux_head": False, "long": 3, "stem_window": 7}),
            ("The stem's 7×7 as three 3×3", "The same argument as for the 5×5, where the maps are largest.",
             _RETHINKING + "section 6", "inception_v3", {"stem_window": 3}),
            ("Thin windows of 7", "At 17×17 a window of 7×7 costs 2/7 as 1×7 and 7×1.",
             _RETHINKING + "section 3.2 and figure 6", "inception_v3", {"long": 7}),
            ("299 px", "The same network looks at more pixels; accuracy is compared at equal cost.",
             _RETHINKING + "section 8", "inception_v3", {"image_size": 299}),
        ),
        LineageStep("Inception v3", "An auxiliary head with batch normalisation regularises in training; at inference "
                    "it costs nothing.", _RETHINKING + "section 4", "inception_v3"),
    ),
)  # fmt: skip

_CONVNEXT = "Liu et al. 2022, section "
_TOWARDS = {
    "kernel": 3, "norm": "batch", "activation": "relu", "norms": "all", "activations": "all", "downsampling": "block",
    "layer_scale": 0.0,
}  # fmt: skip
RESNET_TO_CONVNEXT = Lineage(
    "convnext",
    "ResNet-50 → ConvNeXt-T",
    (
        *_grown(
            ("ResNet-50", "A block adds a learned change to its input: 1×1, 3×3, 1×1.", "He et al. 2016, table 1",
             "resnet50", {}),
            ("Stage ratio 3 : 3 : 9 : 3", "As in a Swin transformer, most of the computation goes to the third stage.",
             _CONVNEXT + "2.2", "resnet50", {"depths": (3, 3, 9, 3)}),
            ("A stem of patches", "A 4×4 convolution of stride 4 replaces the 7×7 and the pool: its windows do not "
             "overlap.", _CONVNEXT + "2.2", "resnet50", {"stem_kernel": 4, "stem_stride": 4, "stem_pool": "none"}),
            ("Depthwise 3×3", "Each channel is filtered by itself, and the 1×1 convolutions mix: as attention does.",
             _CONVNEXT + "2.3", "resnet50", {"depthwise": True}),
            ("Width 64 → 96", "What the depthwise convolution saved is spent on channels, as many as Swin-T's.",
             _CONVNEXT + "2.3", "resnet50", {"widths": (96, 192, 384, 768), "stem_width": 96}),
            ("Inverted bottleneck", "Narrow ends and a middle four times as wide, as in a transformer's MLP.",
             _CONVNEXT + "2.4", "resnet50", {"expansion": 1, "width_factor": 4.0}),
            ("The depthwise convolution moves up", "It now filters the narrow map, and a larger window is affordable.",
             _CONVNEXT + "2.5", "convnext_tiny", _TOWARDS),
            ("Window 3 → 7", "As wide as Swin's window; beyond 7 nothing was gained.", _CONVNEXT + "2.5",
             "convnext_tiny", {"kernel": 7}),
            ("ReLU → GELU", "The transformers' non-linearity; accuracy stays.", _CONVNEXT + "2.6", "convnext_tiny",
             {"activation": "gelu"}),
            ("One activation", "Between the two 1×1 convolutions alone, as in an MLP.", _CONVNEXT + "2.6",
             "convnext_tiny", {"activations": "one"}),
            ("One normalisation", "Before the 1×1 convolutions alone.", _CONVNEXT + "2.6", "convnext_tiny",
             {"norms": "one"}),
            ("Batch → layer norm", "Each position is normalised over its channels, whatever else is in the batch.",
             _CONVNEXT + "2.6", "convnext_tiny", {"norm": "channel_layer"}),
            ("Downsampling of its own", "A 2×2 convolution of stride 2 between stages, with norms that keep training "
             "stable.", _CONVNEXT + "2.6", "convnext_tiny", {"downsampling": "separate"}),
        ),
        LineageStep("ConvNeXt-T", "Layer Scale: each channel of a block's change starts at a millionth.",
                    "Liu et al. 2022, appendix A", "convnext_tiny"),
    ),
)  # fmt: skip


def _rows(windows: tuple[int, ...], depths: tuple[int, ...]) -> dict[str, Any]:
    """MobileNet v2's table 2 with other windows and depths, as stages of MBConv blocks."""
    widths, strides = (16, 24, 32, 64, 96, 160, 320), (1, 2, 2, 2, 1, 2, 1)
    rows = zip(windows, strides, widths, depths, strict=True)
    return {
        "stages": tuple(
            {"block": "mbconv", "expansion": 6.0 if number else 1.0, "kernel": k, "stride": s, "width": w, "depth": d}
            for number, (k, s, w, d) in enumerate(rows)
        )
    }


_TABLE_2 = (1, 2, 3, 4, 3, 3, 1)
_WIDE_WINDOWS = (3, 3, 5, 3, 5, 5, 3)
_EFFICIENTNET = "Tan and Le 2019, "
MOBILENET_TO_EFFICIENTNET = Lineage(
    "efficientnet",
    "MobileNet v2 → EfficientNet-B0",
    (
        *_grown(
            ("MobileNet v2", "Narrow maps between blocks, wide ones inside, where a depthwise one filters them.",
             "Sandler et al. 2018, table 2", "mobilenet_v2", {}),
            ("Swish", "x · sigmoid(x) instead of a clipped ReLU.", _EFFICIENTNET + "section 4", "mobilenet_v2",
             {"activation": "silu"}),
            ("Squeeze-excitation", "Each block weighs its inner channels by what is in the whole map: the block is now "
             "an MBConv.", _EFFICIENTNET + "section 4", "efficientnet_b0", _rows((3,) * 7, _TABLE_2)),
            ("Windows of 5×5", "The search prefers wider windows in three stages, where a depthwise one is cheap.",
             _EFFICIENTNET + "table 1", "efficientnet_b0", _rows(_WIDE_WINDOWS, _TABLE_2)),
            ("Depths of the search", "Fewer blocks on large maps, one more on the small ones.",
             _EFFICIENTNET + "table 1", "efficientnet_b0", _rows(_WIDE_WINDOWS, (1, 2, 2, 3, 3, 4, 1))),
        ),
        LineageStep("EfficientNet-B0", "The widths of the search: the third to the sixth stage grow by a sixth to a "
                    "quarter.", _EFFICIENTNET + "table 1", "efficientnet_b0"),
    ),
)  # fmt: skip

LINEAGES = {
    lineage.name: lineage
    for lineage in (ALEXNET_TO_ZFNET, INCEPTION_V1_TO_V3, RESNET_TO_CONVNEXT, MOBILENET_TO_EFFICIENTNET)
}
