"""The functions of notebooks and scripts: any traceable module in, plain tensors and arrays out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from explorer.analysis import activations, occlusion
from explorer.analysis.deconvnet import project
from explorer.analysis.deconvnet_rules import BackwardMethod, BackwardRule, BackwardSettings
from explorer.analysis.image_spectrum import colour_axes
from explorer.analysis.inputs import ImageLike, as_input, preprocessing_of
from explorer.analysis.occluder import Extent, Fill, fill_values
from explorer.analysis.occlusion import Method, OcclusionMap, OcclusionSettings, OnProgress
from explorer.analysis.optimised_image import OnStep, OptimisationSettings, OptimisedImage, optimise_units
from explorer.analysis.outputs import Output
from explorer.analysis.passes import Cancel, Runnable, open_network
from explorer.analysis.structure import Analysis, LayerReport, analyze
from explorer.analysis.top_nines import OnPictures, TopNines, top_nines
from explorer.discovery import own_models
from explorer.errors import Cancelled, TraceError, UnknownNameError, UserError
from explorer.exchange.export import export
from explorer.graph.layers import Layer, LayerGraph, Window
from explorer.graph.own_ops import register_op
from explorer.receptive_field.report import ReceptiveField
from explorer.types import Cell, InputSize

__all__ = [
    "Analysis",
    "Cancelled",
    "Layer",
    "LayerGraph",
    "LayerReport",
    "OcclusionMap",
    "OpenedPage",
    "OptimisedImage",
    "ReceptiveField",
    "TopNines",
    "TraceError",
    "UnknownNameError",
    "UserError",
    "Window",
    "analyze",
    "close",
    "deconvnet",
    "export",
    "feature_maps",
    "occlusion_map",
    "open",
    "optimised_image",
    "register_op",
    "top_nine",
]


class OpenedPage(Protocol):
    """What is open in the browser. A notebook shows it as a link."""

    url: str


def feature_maps(module: nn.Module, image: ImageLike, layer: str) -> Tensor:
    """The maps of one layer of a module, [channels, rows, columns], for one image.

    image: a tensor or array [C, H, W] or [1, C, H, W], normalised as the weights expect it, which is cast to their
    type; or a PIL image or a path, which is resized, cropped and normalised as timm's networks say of themselves
    (`pretrained_cfg`), else as torchvision's ImageNet presets do: 256 px, the centre of 224, ImageNet's mean and
    deviation. layer: an id of `analyze(module).layers`, or the path of a module whose output is meant, as "layer4" or
    "features"; of a module that cannot be traced, which has no graph of layers, always a path.
    The module is left as it was. Raises TraceError (it cannot run), UnknownNameError (the layer), UserError.
    """
    given = as_input(module, image)
    return activations.feature_maps(_opened(module, given.tensor), given.tensor, layer)


def deconvnet(
    module: nn.Module,
    image: ImageLike,
    layer: str,
    channel: int | None = None,
    position: Cell | None = None,
    *,
    method: BackwardMethod = "deconvnet",
    rules: Mapping[str, BackwardRule] | None = None,
    cancel: Cancel | None = None,
) -> Tensor:
    """What in one image excites a unit, projected back to pixels, [C, H, W] (Zeiler and Fergus 2014, section 2.1).

    image, layer: as in `feature_maps`. channel: of the layer, the one with the greatest activation by default;
    position: (row, column) in its map, where it is greatest by default. method: "deconvnet" unpools with switches,
    rectifies and filters with the transposed kernels; "guided" lets the positive part of the gradient through each
    activation (Springenberg et al. 2015); "gradient" is the gradient. rules: kind or id of a layer → how the signal
    goes back through it instead: "rectify", "guided", "gradient", "pass" or, for gates and contrast normalisation,
    "hold"; by default ReLU6, hard-swish, SiLU, GELU and their like are taken for what they come near to, ReLU. The
    signal starts with 1 at the unit. cancel() is asked before every layer, and ends the work if true.
    The module is left as it was. Raises TraceError (it cannot run), UnknownNameError (the layer), UserError (it cannot
    be traced, there is no such unit, no derivative leads from it to the image, a rule does not fit), Cancelled.
    """
    given = as_input(module, image)
    settings = BackwardSettings(method, rules)
    return project(
        _opened(module, given.tensor), given.tensor, layer, channel, position, settings, cancel=cancel
    ).signal


def occlusion_map(
    module: nn.Module,
    image: ImageLike,
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
    memory_bytes: int | None = None,
    output: Output | None = None,
) -> OcclusionMap:
    """The probability of a class of a module with a square slid over one image (Zeiler and Fergus 2014, figure 7).

    image: as in `feature_maps`. target: class index, the most probable one by default. window, stride: of the square in
    pixels, or (height, width); on an image smaller than the default square, one of three eighths of its side. fill:
    "gray", "mean" (the image's mean colour) or "blur"; fill_value, [C], [1, C, 1, 1] or as large as the image,
    overrides it. layer: also record the sums of its maps, the strongest's as `activation`. method: "full" runs the
    whole network at each position, "incremental" only what the square can reach, with the same result; "auto" takes
    the faster. batch_size: positions run at a time, by default what memory and time allow; memory_bytes: the most that
    the run may take at once beside the weights and the image. output: how the network's
    values become probabilities: "softmax" over the classes, "sigmoid" of each by itself, "probabilities" (they are
    that already) or "logits" (taken as they are); by default found out from its end, and said in the result. Of
    several outputs the one of the form [N, classes] is taken, by preference the one named logits. progress(done, total,
    seconds_left) is called after every batch; cancel() is asked before every layer, and ends the work if true.
    A module that cannot be traced is run as it is, one image at a time; `is_traced` of the result says so.
    The module is left as it was. Raises TraceError, UserError (MemoryLimitError where the budget is too small for one
    position), UnknownNameError (the layer), Cancelled.
    """
    given = as_input(module, image)
    if fill == "gray" and fill_value is None and (known := given.preprocessing):
        fill_value = fill_values(given.tensor, fill, torch.tensor(known.mean), torch.tensor(known.std))
    settings = OcclusionSettings(window, stride, fill, layer, method, fill_value, batch_size, output, memory_bytes)
    network = _opened(module, given.tensor)
    return occlusion.occlusion_map(network, given.tensor, target, settings, progress=progress, cancel=cancel)


def optimised_image(
    module: nn.Module,
    layer: str,
    channel: int,
    position: Cell | None = None,
    *,
    input_size: InputSize = (3, 224, 224),
    steps: int = 256,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    colours: Tensor | None = None,
    progress: OnStep | None = None,
    cancel: Cancel | None = None,
) -> OptimisedImage:
    """The image that excites a unit most, by gradient ascent from noise (feature visualisation, Olah et al. 2017).

    layer, channel: as in `deconvnet`. position: (row, column) in the channel's map; by default the mean and the maximum
    of the whole channel are made great. input_size: (channels, height, width) of the image. steps: of Adam, on
    decorrelated Fourier coefficients, each seen slightly turned, scaled and shifted. seed: of the noise at the start
    and of these views: the same one gives the same image. mean, std: of the normalisation of the module's input, by
    default what timm's networks say of themselves, else ImageNet's. colours: covariance [C, C] of the colours of the
    pictures that it knows, by default ImageNet's. progress(done, total, seconds_left) is called after every step;
    cancel() is asked before every layer, and ends the work if true.
    `.image` is [C, H, W] of values from 0 to 1; `.before` and `.after` are the unit's activation by noise and image.
    The module is left as it was. Raises TraceError (it cannot run), UnknownNameError (the layer), UserError (it cannot
    be traced, there is no such unit, no derivative leads from it to the image, steps or the normalisation do not fit),
    Cancelled.
    """
    known = preprocessing_of(module)
    given = tuple(known.mean if mean is None else mean), tuple(known.std if std is None else std)
    axes = None if colours is None else colour_axes(colours)
    settings = OptimisationSettings(steps, seed=seed, mean=given[0], std=given[1], axes=axes)
    network = open_network(module, input_size)
    (found,) = optimise_units(network, layer, [(channel, position)], settings, progress=progress, cancel=cancel)
    return found


def top_nine(
    module: nn.Module,
    pictures: str | Path | Sequence[ImageLike],
    layers: Sequence[str],
    *,
    batch_size: int | None = None,
    progress: OnPictures | None = None,
    cancel: Cancel | None = None,
) -> TopNines:
    """The nine pictures that excite each channel of some layers most, and where (Zeiler and Fergus 2014, figure 2).

    pictures: a folder, or a list of images as in `feature_maps`, all of one size; broken files are passed over, and
    named in the result. layers: ids or modules, as there; or ["all"]. batch_size: pictures run at a time, by default
    what memory and time allow. A folder takes no more memory for more pictures; of a value that occurs in several, the
    first picture goes first. progress(done, total, seconds_left) is called after every batch; cancel() is asked before
    every layer, and ends the work if true.
    The module is left as it was. Raises TraceError (it cannot run), UnknownNameError (a layer), UserError (it cannot be
    traced, a layer has no maps, no picture can be opened, pictures differ in size), Cancelled.
    """
    if batch_size is not None and batch_size < 1:
        raise UserError(f"batch_size={batch_size} is less than 1.")
    return top_nines(module, pictures, layers, batch_size, progress, cancel)


def open(
    module: nn.Module,
    pictures: Any = None,
    classes: Sequence[str] | Mapping[int, str] | None = None,
    preprocessing: Any = None,
    input_size: tuple[int, int, int] | None = None,
) -> OpenedPage:
    """Serve the page on a module that lives in this process, to this machine alone; returns its link as `.url`.

    pictures: a path, a folder, a PIL image, an array [H, W, 3] or a tensor [3, H, W] before normalisation; a list of
    these, or a mapping from names. classes: their names, by index. preprocessing: a mapping with any of resize (px),
    fit ("crop", "stretch", "pad"), interpolation, range, mean and std; or torchvision's transforms; by default what
    timm's networks say of themselves, else ImageNet's mean and deviation. input_size: (channels, height, width) of the
    images that it takes; by default what timm's networks say, else the first of a few usual sizes that goes through.

    The page works on copies: the module is left as it is, and may be trained meanwhile; a reload shows its weights of
    that moment. Another call shows another module in place of this one, at the same link. `close` ends it.
    Raises TraceError, UserError (what is given is not what is expected, or this process serves Streamlit already).
    """
    return _of_page("open_module", module, pictures, classes, preprocessing, input_size)


def close() -> None:
    """Stop serving what `open` opened; nothing where nothing is open."""
    if _PAGE in sys.modules:
        _of_page("close")


_PAGE = "explorer.ui.live"


def _of_page(function: str, *arguments: Any) -> Any:
    """Call a function of the page, which is floors above: Streamlit and our own models are imported by it alone."""
    with own_models():
        return getattr(importlib.import_module(_PAGE), function)(*arguments)


def _opened(module: nn.Module, image: Tensor) -> Runnable:
    channels, height, width = image.shape[1:]
    return open_network(module, (channels, height, width))
