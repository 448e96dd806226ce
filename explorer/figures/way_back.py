"""A projected unit in pictures and words: its pixels around gray, the crop that it sees, what each step back does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explorer.analysis.deconvnet import Projection
from explorer.analysis.deconvnet_rules import CHOICES, MEANINGS, BackwardRule, BackwardSettings
from explorer.analysis.way_back import WayStep
from explorer.figures import layer_words
from explorer.figures.filters import in_colours, in_gray
from explorer.graph.layers import Layer, LayerGraph
from explorer.images.preprocess import Preprocessing
from explorer.types import Box

LOUDEST = 99.0  # percentile of the magnitudes that are not 0: a few places are far above all others

_NAMES: dict[BackwardRule, str] = {
    "rectify": "rectify", "guided": "rectify and mask", "gradient": "derive", "pass": "pass on", "hold": "scale",
}  # fmt: skip
_FILTER = "**filter** with the transposed kernels"
_UNPOOL = "**unpool**: each value goes to its switch, the place of the maximum; all other places are 0"
_SPREAD = "**spread** each value evenly over its window"
_REARRANGE = "**rearrange** into the shape before"
_UNCHANGED = "**pass on** as it is"
_WORDS = {
    **dict.fromkeys(("conv", "conv1d", "conv3d"), _FILTER),
    **dict.fromkeys(("conv_transpose", "conv_transpose1d", "conv_transpose3d"), "**filter** with the kernels"),
    "linear": "**filter** with the transposed weights",
    **dict.fromkeys(("max_pool", "adaptive_max_pool"), _UNPOOL),
    **dict.fromkeys(("avg_pool", "adaptive_avg_pool", "mean"), _SPREAD),
    **dict.fromkeys(("dropout", "identity", "contiguous", "cast"), _UNCHANGED),
    **dict.fromkeys(
        ("flatten", "reshape", "permute", "transpose", "movedim", "squeeze", "unsqueeze", "channel_shuffle", "roll"),
        _REARRANGE,
    ),
    "add": "**hand** the whole signal to each summand",
    "concat": "**cut**: each branch gets its own channels back",
    "pad": "**cut** the padding off",
    **dict.fromkeys(("chunk", "slice", "select", "index"), "**put back** into the place that was cut out, 0 elsewhere"),
}
_DERIVE = "**derive**: the signal times the derivative"


def in_picture_colours(projection: Projection, preprocessing: Preprocessing) -> Projection:
    """A projection to the input of a network with its channels in the order that pictures have."""
    return replace(projection, signal=preprocessing.in_rgb(projection.signal))


def pixels(projection: Projection) -> np.ndarray:
    """Activation × signal as a picture, uint8 [H, W, 3]: 0 is gray; each colour is full or empty from LOUDEST on.

    Of a unit that is 0, where the product is 0 everywhere, the signal alone.
    """
    values = (projection.signal * (projection.activation or 1.0)).detach().float().cpu().numpy()
    return signal_pixels(values.transpose(1, 2, 0))


def signal_pixels(values: np.ndarray) -> np.ndarray:
    """A signal at the pixels [H, W, C] as a picture, likewise."""
    limit = _loudest(values)
    return in_colours(values, limit) if values.shape[2] == 3 else in_gray(values[..., 0], limit)


def _loudest(values: np.ndarray) -> float:
    carried = np.abs(values[values != 0])
    return float(np.percentile(carried, LOUDEST, method="higher")) if carried.size else 0.0


def cropped(picture: np.ndarray, box: Box) -> np.ndarray:
    """The part of a picture [H, W, …] in a box (top, left, bottom, right)."""
    top, left, bottom, right = box
    return picture[top:bottom, left:right]


def explained(step: WayStep, graph: LayerGraph, settings: BackwardSettings) -> str:
    """What one step does, as a sentence in Markdown whose names are not escaped."""
    if not step.through:
        return "The signal **starts** with 1 at the unit, and 0 at all others."
    parts = [f"through {_named(graph[name])}, {done(graph[name], settings)}" for name in step.through]
    joined = f"{'; '.join(parts)}{'; what the readers of this output send back is added' * (len(parts) > 1)}."
    return joined[0].upper() + joined[1:]


def _named(layer: Layer) -> str:
    return f"{layer.id} ({layer_words.operation(layer.kind, layer.window)})"


def done(layer: Layer, settings: BackwardSettings) -> str:
    """What is done to the signal on its way back through a layer."""
    if layer.kind == "batch_norm" and settings.rule_of(layer.kind, layer.id) == "gradient":
        return "**scale** each channel by the norm's factor"
    if layer.kind in CHOICES:
        rule = settings.rule_of(layer.kind, layer.id)
        return f"**{_NAMES[rule]}**: {MEANINGS[rule]}"
    return _WORDS.get(layer.kind, _DERIVE)
