"""A training step on the meta device: shapes and gradients of a network, nothing allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.layers import SHAPE_KEEPING
from models.spec import NetSpec


def tensors(output: Any) -> list[Tensor]:
    """The tensors of an output: one, or a tuple or dict that has auxiliary ones too, the logits first."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    return [tensor for part in parts if part is not None for tensor in tensors(part)]


def image(spec: NetSpec, batch: int, side: int | None = None) -> Tensor:
    side = side or spec.image_size
    return torch.empty(batch, spec.in_channels, side, side, device="meta")


def layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that have no modules inside."""
    return ((path, layer) for path, layer in model.named_modules() if not list(layer.children()))


class SameShape(torch.autograd.Function):
    """A map of the input's shape, with a gradient for the input and each parameter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters = parameters
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0], *map(torch.empty_like, ctx.parameters)


class Quick(nn.Module):
    """Stands for a norm or activation on meta, where only its shape shows and torch takes up to 6 ms for it."""

    STANDS_FOR = (*SHAPE_KEEPING, nn.GroupNorm, nn.LocalResponseNorm)

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return SameShape.apply(x, *self.layer.parameters())


def quick(model: nn.Module) -> nn.Module:
    """The model with `Quick` in place of the layers that it stands for."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Quick.STANDS_FOR):
                setattr(parent, name, Quick(child))
    return model


def train_step(model: nn.Module, spec: NetSpec, side: int | None = None) -> None:
    """Forward and backward in training mode on meta: right shape, no empty map, a gradient for every parameter."""
    empty = []

    def watch(path: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _, __, output: empty.append(path) if not tensors(output)[0].numel() else None

    for path, layer in layers(model):
        layer.register_forward_hook(watch(path))
    outputs = tensors(model.train()(image(spec, 2, side)))
    assert all(output.shape == (2, spec.num_classes) for output in outputs)
    assert not empty
    torch.stack([output.sum() for output in outputs]).sum().backward()
    assert [path for path, parameter in model.named_parameters() if parameter.grad is None] == []


def macs(model: nn.Module, spec: NetSpec) -> float:
    """Multiply-accumulates of one picture, as torch's own counter has them."""
    with FlopCounterMode(display=False) as counter:
        model(image(spec, 1))
    return counter.get_total_flops() / 2
