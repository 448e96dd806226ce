"""Which pixels a class's score is due to, by methods that answer alike: one signed value per pixel of the input.

Occlusion and the deconvnet are this program's own, the others Captum's on the traced program.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.analysis.attribution_model import ScoringModule
from explorer.analysis.attribution_settings import (
    OF_LAYERS,
    WITHOUT_SIGN,
    AttributionMethod,
    AttributionSettings,
    checked_method,
    layer_of_maps,
    refusal,
)
from explorer.analysis.deconvnet import saved_tensors_mutable
from explorer.analysis.deconvnet_rules import BackwardSettings, backward_rules
from explorer.analysis.occluder import default_stride, default_window, one_image
from explorer.analysis.occlusion import OcclusionSettings, OnProgress, occlusion_map
from explorer.analysis.outputs import Ends, Reading, read
from explorer.analysis.passes import Cancel, Runnable, passes_of
from explorer.errors import UserError
from explorer.graph.reasons import reason
from explorer.graph.trace import TracedProgram
from explorer.run.plain import PlainNetwork

BATCH_BYTES_BACK = 2**29  # of all outputs of the images of a batch, which are kept for the way back


@dataclass(frozen=True, eq=False)
class Attribution:
    """values [C, H, W]: what each value of the input has to do with the score of class `target`.

    map [H, W]: their sum over the channels; where a sign says only whether a pixel should be brighter, the greatest
    magnitude. A method that knows no channels spreads its value over them. layer: whose maps were weighed, if any.
    probability: of the target, with the picture as it is.
    """

    method: AttributionMethod
    values: Tensor
    map: np.ndarray
    target: int
    probability: float
    layer: str | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """A class of a network's output for one image: how the output is read, the class's number and probability."""

    reading: Reading
    number: int
    probability: float


def find_target(network: Runnable, image: Tensor, target: int | None, settings: AttributionSettings) -> Target:
    """The class, by default the most probable one. Raises UserError, where it is none or the output is not finite."""
    with Ends() as ends:
        ((returned, _, _),) = passes_of(network).forward(one_image(image), None, None)
    reading = read(returned, 1, ends, settings.output)
    probabilities = reading.values(returned, 1)[0]
    if not probabilities.isfinite().all():
        raise UserError("The network's output for this image is not finite: there is nothing to attribute.")
    if target is not None and not 0 <= target < len(probabilities):
        raise UserError(f"target={target} is not a class: they go from 0 to {len(probabilities) - 1}.")
    number = int(probabilities.argmax()) if target is None else target
    return Target(reading, number, float(probabilities[number]))


def attribute(
    network: Runnable,
    image: Tensor,
    method: AttributionMethod,
    target: int | None = None,
    settings: AttributionSettings | None = None,
    *,
    progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Attribution:
    """The attribution of one image [C, H, W] or [1, C, H, W] of normalised values to a class's score.

    target: class index, by default the most probable. progress(done, total, seconds left) is called as images are run;
    cancel is asked before each layer, and on the way back before each slow one. The score is the network's value before
    it becomes a probability; occlusion alone measures the probability.
    Raises UserError (a method that is not defined here, with its reason; values that are not finite), UnknownNameError
    (the layer), Cancelled.
    """
    settings, image = settings or AttributionSettings(), one_image(image).detach()
    checked_method(method)
    if (why := refusal(network, method, settings.layer)) is not None:
        raise UserError(why)
    wanted = find_target(network, image, target, settings)
    layer = None
    if isinstance(network, PlainNetwork) or method == "occlusion":
        values = _by_occlusion(network, image, wanted, settings, progress, cancel)
    else:
        layer = layer_of_maps(network, settings.layer) if method in OF_LAYERS else None
        scored = Scored(network, wanted.reading, image, torch.tensor([wanted.number], device=image.device))
        counted = _Counted(progress, images_run(method, settings))
        values = captums_values(scored, method, settings, images_at_a_time(network, image), counted, cancel)
    values = values.detach()[0].float().cpu()
    if not values.isfinite().all():
        raise UserError(f"{method}: the attribution of this image is not finite.")
    return Attribution(method, values, as_map(values, method), wanted.number, wanted.probability, layer)


def as_map(values: Tensor, method: AttributionMethod) -> np.ndarray:
    """Values [C, H, W] as one per pixel, [H, W]."""
    return (values.abs().amax(0) if method in WITHOUT_SIGN else values.sum(0)).numpy()


# -- occlusion --------------------------------------------------------------------------------------------------------


def _by_occlusion(
    network: Runnable,
    image: Tensor,
    target: Target,
    settings: AttributionSettings,
    progress: OnProgress | None,
    cancel: Cancel | None,
) -> Tensor:
    window = default_window(min(image.shape[2:])) if settings.window is None else settings.window
    stride = default_stride(window) if settings.stride is None else settings.stride
    square = OcclusionSettings(
        window, stride, settings.fill, fill_value=settings.fill_value, output=target.reading.output
    )
    found = occlusion_map(network, image, target.number, square, progress=progress, cancel=cancel)
    if not found.is_finite:
        raise UserError("occlusion: the output is not finite with the square at some positions.")
    lost = torch.as_tensor(
        loss_by_pixel(found.boxes, found.baseline - found.probability, (image.shape[2], image.shape[3]))
    )
    return lost.expand(1, image.shape[1], -1, -1) / image.shape[1]


def loss_by_pixel(boxes: np.ndarray, lost: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What squares cost, as the mean over those that hide a pixel, [H, W]; 0 where none does.

    boxes: [rows, columns, 4] as of an `OcclusionMap`; lost: [rows, columns], the probability that each square costs.
    """
    total, squares = np.zeros(size), np.zeros(size)
    for at in np.ndindex(lost.shape):
        top, left, bottom, right = boxes[at].tolist()
        total[top:bottom, left:right] += lost[at]
        squares[top:bottom, left:right] += 1
    return total / squares.clip(1)


# -- Captum -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Scored:
    """Images [N, C, H, W] of a network, and for each the class, targets [N], whose score is attributed."""

    program: TracedProgram
    reading: Reading
    images: Tensor
    targets: Tensor


def captums_values(
    scored: Scored,
    method: AttributionMethod,
    settings: AttributionSettings,
    at_a_time: int,
    on_images: Callable[[int], object] | None = None,
    cancel: Cancel | None = None,
) -> Tensor:
    """What Captum says of each value of the images, [N, C, H, W]; a layer's maps are enlarged to the images.

    at_a_time: images that fit into memory together; on_images is told how many were run. Raises UserError, Cancelled.
    """
    from explorer.analysis import attribution_methods as methods  # Captum takes a second, and pages open without it

    program, rules = scored.program, None
    if method in ("deconvnet", "guided"):
        rules = backward_rules(program.graph, program.nodes, BackwardSettings(method))
    model = ScoringModule(
        program, scored.reading, layer=layer_of_maps(program, settings.layer) if method in OF_LAYERS else None,
        rules=rules, nonlinear=method == "deeplift", on_images=on_images, cancel=cancel,
    )  # fmt: skip
    images = scored.images.clone().requires_grad_()
    job = methods.Attributed(model, images, scored.targets, settings, at_a_time, cancel or (lambda: False))
    with _refused(method), saved_tensors_mutable(program, job.cancel):
        found = methods.CAPTUM[method](job)
    if method not in OF_LAYERS:
        return found
    _, channels, height, width = images.shape
    spread = F.interpolate(found.detach().float(), (height, width), mode="bilinear", align_corners=False)
    return spread.repeat(1, channels, 1, 1) / channels


@contextmanager
def _refused(method: str) -> Generator[None]:
    """What torch or Captum refuse, in one sentence."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"{method} cannot be computed on this network: {reason(error)}") from error


def images_run(method: AttributionMethod, settings: AttributionSettings) -> int:
    """How many images a method runs."""
    by_method: dict[AttributionMethod, int] = {
        "integrated_gradients": settings.steps, "smoothgrad": settings.samples, "gradient_shap": settings.samples,
        "deeplift": 2, "layercam": 2,
    }  # fmt: skip
    return by_method.get(method, 1)


def images_at_a_time(program: TracedProgram, image: Tensor) -> int:
    """As many as a pass takes, and as their outputs, all of which are kept for the way back, fit into memory."""
    values = sum(prod(shape) for layer in program.graph for shape in layer.outputs)
    fitting = BATCH_BYTES_BACK // max(1, values * image.element_size())
    return max(1, min(passes_of(program).batch_size(image), fitting))


class _Counted:
    """Counts images, and tells how far the work is."""

    def __init__(self, progress: OnProgress | None, total: int) -> None:
        self.progress, self.total, self.done, self.started = progress, total, 0, time.perf_counter()

    def __call__(self, count: int) -> None:
        self.done = min(self.total, self.done + count)
        if self.progress is not None:
            elapsed = time.perf_counter() - self.started
            self.progress(self.done, self.total, elapsed / self.done * (self.total - self.done))
