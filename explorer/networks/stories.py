"""Stories for a first visit: each step sets the state of the page and says one thing about what is then seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import models
from explorer.analysis.structure import Analysis
from explorer.errors import in_percent
from explorer.networks.budget import figures, in_slot

BLOCKS_COMPARED = ("residual_bottleneck", "depthwise_separable", "mbconv")
COMPARED_MAP = (128, 28, 28)  # what these blocks take and hand on


@dataclass(frozen=True)
class StoryStep:
    """One step: the network, further settings of the page, and a sentence with figures of the network in braces."""

    text: str
    preset: str
    knobs: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """A question that a newcomer has, and the steps that answer it."""

    name: str
    title: str
    icon: str
    steps: tuple[StoryStep, ...]


def told(step: StoryStep, analysis: Analysis) -> str:
    """The sentence of a step, its figures worked out on the network at hand."""
    names = {name: found for name, found in _FIGURES.items() if f"{{{name}}}" in step.text}
    return step.text.format(**{name: found(step, analysis) for name, found in names.items()})


def _giga(count: int) -> str:
    return f"{count / 1e9:.2f} G" if count >= 1e8 else f"{count / 1e6:.1f} M"


def _pointwise_share(_: StoryStep, analysis: Analysis) -> str:
    """The share of the multiply-accumulates in convolutions of 1×1."""
    macs = {layer.id: layer.macs or 0 for layer in analysis.layers}
    windows = {layer.id: layer.window for layer in analysis.graph}
    inside = sum(macs[name] for name, window in windows.items() if window and tuple(window.kernel) == (1, 1))
    return in_percent(inside / analysis.macs)


def _layer_field(step: StoryStep, analysis: Analysis) -> str:
    rows, columns = analysis[step.settings["layer"]].receptive_field.size
    return f"{float(rows):g} × {float(columns):g}"


def _image(_: StoryStep, analysis: Analysis) -> str:
    return " × ".join(map(str, analysis.graph.layers[0].output_shape[2:]))


def _block_macs(place: int) -> str:
    block = in_slot(models.block(BLOCKS_COMPARED[place]), COMPARED_MAP[0])
    return _giga(figures(block, COMPARED_MAP).macs)  # pyright: ignore[reportArgumentType]  (frozen, so hashable)


_FIGURES: Mapping[str, Callable[[StoryStep, Analysis], str]] = {
    "macs": lambda _, analysis: _giga(analysis.macs),
    "pointwise": _pointwise_share,
    "layer_field": _layer_field,
    "image": _image,
    "first": lambda *_: _block_macs(0),
    "second": lambda *_: _block_macs(1),
    "third": lambda *_: _block_macs(2),
}

_GRADIENTS = {"view": "workbench", "panel": "gradients"}
_FIELD = {"view": "workbench", "panel": "field", "lens": "box"}
_BLOCKS = {f"block{place}": name for place, name in enumerate(BLOCKS_COMPARED, start=1)}
_SIZE = dict(zip(("input_channels", "input_height", "input_width"), COMPARED_MAP, strict=True))

WHY_SKIPS = Story(
    "skips", "Why skips", ":material/alt_route:",
    (
        StoryStep("ResNet-50 without its skips: the curve shows how large the gradient arrives at each layer before "
                  "any training.", "resnet50", {"shortcut": "none"}, _GRADIENTS),
        StoryStep("The same layers with skips: each block adds to its input, so the gradient has a way around every "
                  "block, and the curve is flatter.", "resnet50", {}, _GRADIENTS),
        StoryStep("Norm and activation move before the convolutions, and nothing stands in the way around: the "
                  "curve is flatter still.", "preact_resnet50", {}, _GRADIENTS),
    ),
)  # fmt: skip
WHY_DEPTHWISE = Story(
    "depthwise", "Why depthwise", ":material/layers:",
    (
        StoryStep("Three blocks that take 128 maps of 28 × 28 px and hand on as many: {first}, {second} and {third} "
                  "MACs. Beside them stand the milliseconds, measured on this machine.", "mobilenet_v1", {},
                  {"view": "blocks", "measured": True, **_BLOCKS, **_SIZE}),
        StoryStep("A whole network of depthwise separable blocks computes {macs} MACs, {pointwise} of them in "
                  "convolutions of 1×1.", "mobilenet_v1", {}, {"view": "workbench", "panel": "budget"}),
        StoryStep("ResNet-50 computes {macs} MACs. Measure its latency here, go back and measure MobileNet's: is the "
                  "ratio of the times that of the MACs?", "resnet50", {}, {"view": "workbench", "panel": "budget"}),
    ),
)  # fmt: skip
WHAT_A_UNIT_SEES = Story(
    "field", "What a unit sees", ":material/center_focus_strong:",
    (
        StoryStep("After two 3×3 convolutions a unit of VGG-16 sees {layer_field} px.", "vgg16", {},
                  {**_FIELD, "layer": "features.2"}),
        StoryStep("Its last convolution sees {layer_field} px of the {image} px picture: windows of 3×3 and pools are "
                  "enough.", "vgg16", {}, {**_FIELD, "layer": "features.28"}),
        StoryStep("The last convolution of ResNet-50 reaches over {layer_field} px, more than the picture has; how "
                  "much each pixel counts is the effective field (Luo et al. 2016).", "resnet50", {},
                  {**_FIELD, "lens": "effective", "layer": "layer4.2.conv3"}),
    ),
)  # fmt: skip
STORIES = {story.name: story for story in (WHY_SKIPS, WHY_DEPTHWISE, WHAT_A_UNIT_SEES)}
