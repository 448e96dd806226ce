"""The layers that blocks share. Every add, concat and scale is a module and every activation its own instance."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.meta import is_unfilled, layer, weightless

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "none": nn.Identity,
}


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of each position of a map [N, C, H, W] (Liu et al. 2022, arXiv 2201.03545, §2.6)."""

    def forward(self, input: Tensor) -> Tensor:
        x = functional.layer_norm(input.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class StochasticDepth(nn.Module):
    """In training drops its whole input with probability `drop`, per picture (Huang et al. 2016, arXiv 1603.09382)."""

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.drop:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device, dtype=x.dtype) >= self.drop
        return x * kept.to(x.dtype) / (1 - self.drop)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: nn.Identity(),
    "batch": lambda channels: layer(nn.BatchNorm2d, channels),
    "group": lambda channels: layer(nn.GroupNorm, math.gcd(32, channels), channels),
    "layer": lambda channels: layer(nn.GroupNorm, 1, channels),
    "instance": lambda channels: layer(nn.InstanceNorm2d, channels, affine=True),
    "channel_layer": lambda channels: layer(LayerNorm2d, channels, eps=1e-6),
}

# Layers whose output has the shape of their input, whatever it is, in evaluation.
SHAPE_KEEPING = (
    StochasticDepth,
    nn.BatchNorm2d,
    nn.LayerNorm,
    nn.Dropout,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.SiLU,
    nn.GELU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Tanh,
    nn.Sigmoid,
)

_tolerant: ContextVar[bool] = ContextVar("tolerant", default=False)


class Unbuildable(nn.Module):
    """Stands where a layer that torch refuses would be, so that the network up to it can still be drawn."""

    is_leaf_of_traces = True  # to a trace, which else would try what it has for layers that it cannot follow

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def forward(self, _: Tensor) -> Tensor:
        raise ValueError(self.reason)


@contextlib.contextmanager
def tolerant() -> Iterator[None]:
    """Within it, a layer that torch refuses becomes `Unbuildable` instead of an exception."""
    token = _tolerant.set(True)
    try:
        yield
    finally:
        _tolerant.reset(token)


def built(make: Callable[[], nn.Module]) -> nn.Module:
    """`make()`; within `tolerant`, where that is refused, an `Unbuildable` that says why."""
    try:
        return make()
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        if not _tolerant.get():
            raise
        return Unbuildable(str(error))


def activation(name: str) -> nn.Module:
    """A fresh, never in-place instance of the named activation; "none" is the identity."""
    return weightless(_ACTIVATIONS[name])


def norm(name: str, channels: int) -> nn.Module:
    """The named normalisation over `channels`; "layer" is GroupNorm(1), "group" takes gcd(32, channels) groups."""
    return built(lambda: _NORMS[name](channels))


def conv(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] | None = None,
    groups: int = 1,
    dilation: int = 1,
    bias: bool = True,
) -> nn.Module:
    """nn.Conv2d; `padding=None` keeps the size at stride 1 (dilation × (kernel − 1) / 2, odd kernels)."""
    if padding is None:
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (dilation * (rows - 1) // 2, dilation * (columns - 1) // 2)
    return built(
        lambda: layer(nn.Conv2d, in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=bias)
    )


def pool(kind: str, kernel: int, stride: int, padding: int = 0, ceil_mode: bool = False) -> nn.Module:
    """Max or average pooling; an average counts the padding as zeros (torch's default)."""
    make = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
    return built(lambda: make(kernel, stride, padding, ceil_mode=ceil_mode))


def local_response_norm(size: int) -> nn.Module:
    """Divides by the energy of `size` neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    The paper's alpha = 1e-4 multiplies the sum of squares, torch's their mean.
    """
    return nn.LocalResponseNorm(size, alpha=1e-4 * size, beta=0.75, k=2.0)


def global_pool(kind: str, size: int = 1) -> nn.Module:
    """Adaptive pooling to `size`×`size`; 1 is global pooling."""
    return nn.AdaptiveMaxPool2d(size) if kind == "max" else nn.AdaptiveAvgPool2d(size)


class Add(nn.Module):
    """Sum of branches of equal shape: the residual add."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Concat(nn.Module):
    """Concatenation of branches along the channels."""

    def forward(self, *branches: Tensor) -> Tensor:
        return torch.cat(branches, dim=1)


class Scale(nn.Module):
    """Product of a map [N, C, H, W] with a gate [N, C, 1, 1] (or of equal shape)."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return x * gate


class Permute(nn.Module):
    """Reorders the axes: Permute(0, 2, 3, 1) puts the channels of a map [N, C, H, W] last."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(*self.dims)


class ConvNormAct(nn.Module):
    """Convolution, normalisation, activation, under torchvision's names `conv` and `bn`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] | None = None,
        groups: int = 1,
        norm_kind: str = "batch",
        act: str = "relu",
        bias: bool | None = None,
        eps: float | None = None,
    ) -> None:
        super().__init__()
        bias = norm_kind == "none" if bias is None else bias
        self.conv = conv(in_channels, out_channels, kernel, stride, padding, groups, bias=bias)
        self.bn = norm(norm_kind, out_channels)
        if eps is not None and isinstance(self.bn, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
            self.bn.eps = eps
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


def initialise(module: nn.Module, linear_std: float | None = 0.01) -> None:
    """He (Kaiming normal, fan_out) for convolutions (He et al. 2015, eq. 10), N(0, std) for linear layers.

    With `linear_std=None` linear layers too are He's, by fan_in.
    """
    if is_unfilled():
        return
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            if linear_std is None:
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            else:
                nn.init.normal_(part.weight, 0.0, linear_std)
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def linear_layers(in_features: int, hidden: Sequence[int], num_classes: int, act: str, dropout: float) -> nn.Sequential:
    """AlexNet's head: dropout, linear, activation per hidden width, then a linear layer over the classes."""
    layers: list[nn.Module] = []
    for features_in, features_out in pairwise((in_features, *hidden)):
        layers += [nn.Dropout(dropout), layer(nn.Linear, features_in, features_out), activation(act)]
    return nn.Sequential(*layers, nn.Linear((in_features, *hidden)[-1], num_classes))


def sequence(*parts: nn.Module | Sequence[nn.Module]) -> nn.Sequential:
    """One flat nn.Sequential from modules and lists of modules."""
    flat: list[nn.Module] = []
    for part in parts:
        flat.extend([part] if isinstance(part, nn.Module) else part)
    return nn.Sequential(*flat)
