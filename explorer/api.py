"""The functions of notebooks and scripts: any traceable module in, plain tensors and arrays out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from explorer.analysis import activations, occlusion
from explorer.analysis.occluder import one_image
from explorer.analysis.occlusion import OcclusionMap
from explorer.graph.trace import TracedProgram, trace


def feature_maps(module: nn.Module, image: Tensor, layer: str) -> Tensor:
    """The maps of one layer, [channels, rows, columns], for one normalised image [C, H, W] or [1, C, H, W].

    The module is left as it was. Raises TraceError, UnknownNameError (the layer), UserError.
    """
    return activations.feature_maps(_traced(module, image), one_image(image), layer)


def occlusion_map(module: nn.Module, image: Tensor, target: int | None = None, **options: Any) -> OcclusionMap:
    """The probability of a class with a square slid over one normalised image [C, H, W] or [1, C, H, W].

    target: class index, the most probable one by default. options, as `explorer.analysis.occlusion.occlusion_map` has
    them: window=32, stride=16 (px), fill="gray" | "mean" | "blur", fill_value, layer, method="auto", progress(done,
    total, seconds_left), cancel(). The module is left as it was. Raises TraceError, UserError, Cancelled.
    """
    return occlusion.occlusion_map(_traced(module, image), image, target, **options)


def _traced(module: nn.Module, image: Tensor) -> TracedProgram:
    channels, height, width = one_image(image).shape[1:]
    return trace(module, (channels, height, width))
