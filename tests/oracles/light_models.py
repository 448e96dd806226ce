"""Networks of torchvision and timm without memory for their weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache

import timm
import torchvision
from torch import Tensor, nn


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Every parameter and buffer goes to meta as soon as a module gets it.

    `torch.device("meta")` would also take the tensors with which some constructors compute widths.
    """
    parameter, buffer = nn.Module.register_parameter, nn.Module.register_buffer

    def register_parameter(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        parameter(self, name, param if param is None else nn.Parameter(param.to("meta"), param.requires_grad))

    def register_buffer(self: nn.Module, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        buffer(self, name, tensor if tensor is None else tensor.to("meta"), persistent)

    nn.Module.register_parameter, nn.Module.register_buffer = register_parameter, register_buffer
    try:
        yield
    finally:
        nn.Module.register_parameter, nn.Module.register_buffer = parameter, buffer


def torchvision_model(name: str) -> nn.Module:
    """A classification model in eval mode."""
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with without_memory():
        return torchvision.models.get_model(name, weights=None, **arguments).eval()


def timm_model(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A model in eval mode, and the input size (C, H, W) that timm gives for it."""
    with without_memory():
        module = timm.create_model(name).eval()
    channels, height, width = vars(module)["default_cfg"]["input_size"]
    return module, (channels, height, width)


@cache
def published(name: str) -> tuple[int, float, int]:
    """(crop in pixels, multiply-accumulates in 10⁹, parameters) of torchvision's weights for the smallest crop."""
    found = [
        (weights.transforms().crop_size[0], weights.meta["_ops"], weights.meta["num_params"])
        for weights in torchvision.models.get_model_weights(name)
    ]
    return min(found)
