"""torchinfo's own count of a network, which is run on the meta device and left as it was."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from explorer.errors import UserError
from explorer.graph.shapes import image_dtype
from explorer.types import Shape


def torchinfo_total(module: nn.Module, input_shape: Shape, training: bool = False) -> tuple[int, str]:
    """`summary(…).total_mult_adds` of torchinfo for an input [N, C, H, W], and torchinfo's version.

    Nothing is allocated. Raises UserError with the reason where torchinfo cannot run the module.
    """
    try:
        import torchinfo  # only the receipt needs it

        image = torch.empty(input_shape, dtype=image_dtype(module), device="meta")
        mode = "train" if training else "eval"
        found = torchinfo.summary(_on_meta(module), input_data=image, device="meta", mode=mode, verbose=0)
    except Exception as error:  # of any kind: it runs code that a person wrote
        cause = error.__cause__ or error
        said = (str(cause).strip().splitlines() or [""])[0]
        raise UserError(f"{type(cause).__name__}: {said}"[:200]) from None
    torchinfo.torchinfo.clear_cached_forward_pass()  # it keeps the last network of each class, for whoever asks next
    return found.total_mult_adds, torchinfo.__version__


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy without memory: torchinfo would move the module itself, and set the mode of all its parts to one."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in (*part.parameters(False), *part.buffers(False), *vars(part).values()):
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = _like(value)
    return copy.deepcopy(module, memo)


def _like(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
