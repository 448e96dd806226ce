"""What a person hands in as an image, as the input of a network: one sentence where that is not clear."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.analysis.occluder import IMAGENET_MEAN, IMAGENET_STD
from explorer.errors import UserError
from explorer.graph.shapes import image_dtype
from explorer.images import codec
from explorer.images.preprocess import Preprocessing

ImageLike = Tensor | np.ndarray | Image.Image | str | Path
EXPECTED = "one image [C, H, W] of floating values, normalised as the weights expect it, a PIL image or a path"


@dataclass(frozen=True, eq=False)
class Input:
    """A network's input [1, C, H, W] in the type and on the device of its weights, and how a picture became it."""

    tensor: Tensor
    preprocessing: Preprocessing | None = None


def as_input(module: nn.Module, image: ImageLike) -> Input:
    """An image as a network's input. Pictures (PIL, path) go through `preprocessing_of` the module; floating arrays and
    tensors [C, H, W] or [1, C, H, W] are taken as they are. Raises UserError, ImageError."""
    if isinstance(image, str | Path | Image.Image):
        preprocessing = preprocessing_of(module)
        return Input(_placed(module, preprocessing.tensor(_pixels(image))), preprocessing)
    if isinstance(image, np.ndarray):
        image = _from_numpy(image)
    if not isinstance(image, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"image is a {type(image).__name__}: {EXPECTED} is expected.")
    if problem := _problem(module, image):
        raise UserError(f"{problem}: {EXPECTED} is expected.")
    return Input(_placed(module, image.detach() if image.dim() == 4 else image.detach()[None]))


def preprocessing_of(module: nn.Module) -> Preprocessing:
    """What a module's weights expect of a picture: what timm's networks say of themselves (`pretrained_cfg`), else as
    torchvision's ImageNet presets: the shorter side to 256 px, the centre of 224, ImageNet's mean and deviation."""
    described: Any = getattr(module, "pretrained_cfg", None)
    says = cast("dict[str, Any]", described) if isinstance(described, dict) and "mean" in described else {}
    channels = 1 if _channels(module) == 1 else 3
    crop: tuple[int, int] = tuple(says.get("input_size", (3, 224, 224))[1:])
    share: float = says.get("crop_pct", 0.875)
    how = "bicubic" if says.get("interpolation") == "bicubic" else "bilinear"
    mean: tuple[float, ...] = tuple(says.get("mean", IMAGENET_MEAN))
    std: tuple[float, ...] = tuple(says.get("std", IMAGENET_STD))
    if channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Preprocessing(int(min(crop) / share), (crop[0], crop[1]), mean, std, channels, how)


def _placed(module: nn.Module, tensor: Tensor) -> Tensor:
    weights = next((p for p in module.parameters() if p.is_floating_point()), None)
    device = tensor.device if weights is None or weights.is_meta else weights.device
    return tensor.to(device, image_dtype(module) or tensor.dtype)


def _from_numpy(image: np.ndarray) -> Tensor:
    try:
        return torch.as_tensor(np.ascontiguousarray(image))
    except TypeError:
        raise UserError(f"image is an array of {image.dtype}: {EXPECTED} is expected.") from None


def _pixels(image: Image.Image | str | Path) -> np.ndarray:
    if not isinstance(image, Image.Image):
        return codec.pixels_of(Path(image), str(image))
    content = io.BytesIO()
    known = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "F") else image.convert("RGB")
    known.save(content, "TIFF" if image.mode == "F" else "PNG", exif=image.getexif())
    return codec.pixels_of(content.getvalue(), "the PIL image")


def _problem(module: nn.Module, image: Tensor) -> str | None:
    """What is not clear of a tensor; None where all is."""
    shape = list(image.shape)
    if not image.is_floating_point():
        return f"image holds {str(image.dtype).removeprefix('torch.')} values, as a picture has before normalisation"
    if image.dim() == 2:
        return f"image of shape {shape} is a gray picture [H, W] without channels (image[None] has them)"
    if image.dim() == 4 and shape[0] != 1:
        return f"image of shape {shape} is a batch of {shape[0]} (image[0] is one of them)"
    if image.dim() not in (3, 4) or 0 in shape:
        return f"image of shape {shape} is not [C, H, W]"
    first, last, takes = shape[-3], shape[-1], _channels(module)
    if last in (1, 3, 4) and first > 4 and takes != first:
        return f"image of shape {shape} has its channels last, as [H, W, C] (permute(2, 0, 1) turns it)"
    return None


def _channels(module: nn.Module) -> int | None:
    """The channels that the first convolution reads; None where there is none."""
    weights = (p for p in module.parameters() if p.dim() == 4)
    return next((int(p.shape[1]) for p in weights), None)
