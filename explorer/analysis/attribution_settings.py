"""The methods of attribution, their settings, and where each is not defined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, fx

from explorer.analysis.attribution_model import POINTWISE_KINDS
from explorer.analysis.occluder import Fill, fill_values, given_fill
from explorer.analysis.outputs import Output, checked
from explorer.analysis.passes import Runnable
from explorer.errors import UserError, shown
from explorer.graph.layers import Layer
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangements
from explorer.receptive_field.report import head_layer, receptive_fields
from explorer.run.plain import PlainNetwork

AttributionMethod = Literal[
    "occlusion", "deconvnet", "guided", "saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "gradcam",
    "layercam", "deeplift", "gradient_shap",
]  # fmt: skip
ATTRIBUTION_METHODS: tuple[AttributionMethod, ...] = get_args(AttributionMethod)
DEFAULT_METHODS: tuple[AttributionMethod, ...] = (
    "occlusion", "deconvnet", "saliency", "integrated_gradients", "smoothgrad", "gradcam",
)  # fmt: skip
OF_LAYERS: tuple[AttributionMethod, ...] = ("gradcam", "layercam")

# Where a signed sum over the channels says nothing, as the sign tells only whether the pixel should be brighter.
WITHOUT_SIGN: tuple[AttributionMethod, ...] = ("deconvnet", "guided", "saliency", "smoothgrad")

# Layers of which the output changes in proportion to what goes in, at given weights; other than by Captum's rules.
_LINEAR = frozenset((
    "input", "conv", "conv1d", "conv_transpose", "linear", "batch_norm", "add", "sub", "neg", "concat", "stack",
    "reshape", "flatten", "permute", "transpose", "movedim", "squeeze", "unsqueeze", "expand", "repeat", "chunk",
    "unbind", "select", "slice", "index", "pad", "roll", "flip", "interpolate", "pixel_shuffle", "pixel_unshuffle",
    "channel_shuffle", "unfold", "fold", "windows", "avg_pool", "adaptive_avg_pool", "mean", "sum", "dropout",
    "identity", "contiguous", "cast", "scale_by_constant", "constant",
))  # fmt: skip
_POOLS = frozenset(("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "dropout", "identity"))
_BY_CONSTANTS = frozenset(("mul", "div"))


@dataclass(frozen=True)
class AttributionSettings:
    """layer: of Grad-CAM and Layer-CAM, by default as `layer_of_maps` has it. fill, fill_value: what stands
    for the absence of the picture, as of an occlusion's square: the baseline of integrated gradients and DeepLift; the
    three fills together are that of GradientShap. samples, noise: of SmoothGrad and GradientShap, the deviation as a
    share of the picture's range; seed: of that noise. steps: of integrated gradients. window, stride: of the square in
    px, by default as `default_window` has it. output: as of an occlusion."""

    layer: str | None = None
    fill: Fill = "gray"
    fill_value: Tensor | None = None
    samples: int = 25
    noise: float = 0.15
    steps: int = 50
    seed: int = 0
    window: int | None = None
    stride: int | None = None
    output: Output | None = None

    def __post_init__(self) -> None:
        checked(self.output)
        for name in ("samples", "steps"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise UserError(f"{name}={shown(getattr(self, name))} is not from 1 to 10,000.")
        if not 0 <= self.noise <= 10:
            raise UserError(f"noise={shown(self.noise)} is not from 0 to 10 times the picture's range.")

    def baseline(self, image: Tensor) -> Tensor:
        """The picture's absence, in the shape of an image [1, C, H, W]."""
        filling = fill_values(image, self.fill) if self.fill_value is None else given_fill(image, self.fill_value)
        return filling.expand_as(image).clone()


def checked_method(method: str) -> None:
    """Refuse what is none of ATTRIBUTION_METHODS. Raises UserError."""
    if method not in ATTRIBUTION_METHODS:
        raise UserError(f"method={shown(method)} is not one of {', '.join(ATTRIBUTION_METHODS)}.")


def refusal(network: Runnable, method: AttributionMethod, layer: str | None = None) -> str | None:
    """Why a method is not defined on a network, in a sentence; None where it is. Raises UnknownNameError."""
    if isinstance(network, PlainNetwork):
        return None if method == "occlusion" else f"{method} needs the layers of a network, which cannot be traced."
    if method in OF_LAYERS:
        return _without_maps(network, method, layer)
    return _without_contributions(network) if method == "deeplift" else None


def layer_of_maps(program: TracedProgram, layer: str | None) -> str:
    """The layer whose maps a class activation map weighs: by default the last one before the head and the pools in
    front of it, as in Selvaraju et al. (2017). Raises UnknownNameError."""
    if layer is not None:
        return find_layer(program.graph, layer).id
    name = head_layer(program.graph, receptive_fields(program.graph))
    while program.graph[name].kind in _POOLS and program.graph[name].inputs:
        name = program.graph[name].inputs[0]
    return name


def _without_maps(program: TracedProgram, method: str, layer: str | None) -> str | None:
    name = layer_of_maps(program, layer)
    if layer is None and program.graph[name].kind == "input":
        return f"{method} weighs the maps of a layer, and this network has no layer with rows and columns."
    found = arrangements(program.graph).get(name)
    if found is None or found.map_size == (1, 1) or len(program.graph[name].outputs) > 1:
        return f"{method} weighs the maps of a layer: {name!r} has no rows and columns."
    return None


def _without_contributions(program: TracedProgram) -> str | None:
    if program.batch is not None:
        return f"deeplift runs two images together, and this network runs on {program.batch} alone."
    other = next((layer for layer in program.graph if not _has_contributions(program, layer)), None)
    if other is None:
        return None
    return f"deeplift has no rule for {other.id!r} ({other.op}): only for linear and pointwise layers and max pools."


def _has_contributions(program: TracedProgram, layer: Layer) -> bool:
    """Whether DeepLift's rules cover a layer: linear, pointwise with one input, or a max pool of windows."""
    if layer.kind in _BY_CONSTANTS:
        nodes = [node for node in program.nodes[layer.id].args if isinstance(node, fx.Node)]
        return sum(node in program.nodes.values() for node in nodes) == 1 and layer.op != "torch.pow"
    if layer.kind == "batch_norm":
        return not layer.attributes.get("training", False)
    if layer.kind == "max_pool":
        return layer.window is not None and len(layer.outputs) == 1
    return layer.kind in _LINEAR or layer.kind in POINTWISE_KINDS
