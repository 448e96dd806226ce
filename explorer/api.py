"""The functions of notebooks and scripts: any traceable module in, plain tensors and arrays out."""

from __future__ import annotations

from torch import Tensor, nn

from explorer.analysis import activations, occlusion
from explorer.analysis.occluder import Extent, Fill, one_image
from explorer.analysis.occlusion import Cancel, Method, OcclusionMap, OcclusionSettings, OnProgress
from explorer.analysis.outputs import Output
from explorer.analysis.structure import Analysis, LayerReport, analyze
from explorer.errors import Cancelled, TraceError, UnknownNameError, UserError
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.trace import TracedProgram, trace
from explorer.receptive_field.report import ReceptiveField

__all__ = [
    "Analysis",
    "Cancelled",
    "Layer",
    "LayerGraph",
    "LayerReport",
    "OcclusionMap",
    "ReceptiveField",
    "TraceError",
    "UnknownNameError",
    "UserError",
    "analyze",
    "feature_maps",
    "occlusion_map",
]


def feature_maps(module: nn.Module, image: Tensor, layer: str) -> Tensor:
    """The maps of one layer of a module, [channels, rows, columns], for one image.

    image: [C, H, W] or [1, C, H, W], normalised as the weights expect it. layer: an id of `analyze(module).layers`,
    or the path of a module whose output is meant, as "layer4" or "features".
    The module is left as it was. Raises TraceError, UnknownNameError (the layer), UserError.
    """
    return activations.feature_maps(_traced(module, image), image, layer)


def occlusion_map(
    module: nn.Module,
    image: Tensor,
    target: int | None = None,
    window: Extent = 32,
    stride: Extent = 16,
    fill: Fill = "gray",
    layer: str | None = None,
    method: Method = "auto",
    progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    *,
    fill_value: Tensor | None = None,
    batch_size: int | None = None,
    output: Output | None = None,
) -> OcclusionMap:
    """The probability of a class of a module with a square slid over one image (Zeiler and Fergus 2014, figure 7).

    image: [C, H, W] or [1, C, H, W], normalised as the weights expect it. target: class index, the most probable one
    by default. window, stride: of the square in pixels, or (height, width). fill: "gray", "mean" (the image's mean
    colour) or "blur"; fill_value, [C], [1, C, 1, 1] or as large as the image, overrides it. layer: also record the sum
    of its strongest map. method: "auto" takes the fastest that there is, "full" runs the whole network at each
    position. batch_size: positions run at a time, by default what memory and time allow. output: how the network's
    values become probabilities: "softmax" over the classes, "sigmoid" of each by itself, "probabilities" (they are
    that already) or "logits" (taken as they are); by default found out from its end, and said in the result. Of
    several outputs the one of the form [N, classes] is taken, by preference the one named logits. progress(done, total,
    seconds_left) is called after every batch; cancel() is asked before every layer, and ends the work if true.
    The module is left as it was. Raises TraceError, UserError, UnknownNameError (the layer), Cancelled.
    """
    settings = OcclusionSettings(window, stride, fill, layer, method, fill_value, batch_size, output)
    return occlusion.occlusion_map(_traced(module, image), image, target, settings, progress=progress, cancel=cancel)


def _traced(module: nn.Module, image: Tensor) -> TracedProgram:
    channels, height, width = one_image(image).shape[1:]
    return trace(module, (channels, height, width))
