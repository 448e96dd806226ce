"""A training step on the meta device: shapes and gradients of a network, nothing allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.layers import SHAPE_KEEPING, Add, Scale, StochasticDepth
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
    """A map of the input's shape, with a gradient for the input and for each other tensor (as a parameter)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *others: Tensor) -> Tensor:
        ctx.shapes = [other.shape for other in others]
        return torch.empty(x.shape, device="meta")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0], *(torch.empty(shape, device="meta") for shape in ctx.shapes)


class Quick(nn.Module):
    """Stands for torch's norms and activations on meta, where only the shape shows and one takes up to 6 ms."""

    STANDS_FOR = (*(kind for kind in SHAPE_KEEPING if kind is not StochasticDepth), nn.GroupNorm, nn.LocalResponseNorm)

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return SameShape.apply(x, *self.layer.parameters())


class QuickJoin(nn.Module):
    """Stands for a sum or a gate on meta, where torch takes 130 µs for it; other shapes are left to the layer."""

    STANDS_FOR = (Add, Scale)

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        gates = isinstance(self.layer, Scale) and y.shape == (*x.shape[:2], 1, 1)
        return SameShape.apply(x, y) if gates or x.shape == y.shape else self.layer(x, y)


def quick(model: nn.Module) -> nn.Module:
    """The model with `Quick` and `QuickJoin` in place of the layers that they stand for."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            for stand_in in (Quick, QuickJoin):
                if isinstance(child, stand_in.STANDS_FOR):
                    setattr(parent, name, stand_in(child))
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
    """Multiply-accumulates of one picture, as torch's own counter has them; made quick, the model has the same."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        quick(model)(image(spec, 1))
    return counter.get_total_flops() / 2
