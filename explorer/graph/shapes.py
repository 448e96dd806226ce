"""Output shapes by rule for the layers that networks are mostly made of: many times faster than running them on meta.

A rule answers only where it is certain (a layer of the plain class, without hooks, on a tensor that fits); for all
else it returns None and the layer is run on the meta device, which also words the error where a tensor does not fit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from explorer.types import is_sequence


def image_dtype(module: nn.Module) -> torch.dtype | None:
    """The type of the images that a module takes: that of its first floating parameter; None (torch's default) if it
    has none."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), None)


def of_module(module: nn.Module, args: tuple[Any, ...]) -> Tensor | None:
    """The output of a leaf module on a meta tensor, or None where no rule is certain."""
    rule = _MODULES.get(type(module))
    if rule is None or len(args) != 1 or not isinstance(args[0], Tensor) or _has_hooks(module):
        return None
    return rule(module, args[0])


def of_function(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The output of an add, product, channel concat or layer norm of meta tensors, or None where none is certain."""
    if target is torch.cat and args and set(kwargs) <= {"dim"}:
        return _concat(args[0], *args[1:], **kwargs)
    if len(args) < 2 or not isinstance(args[0], Tensor):
        return None
    if target in _BINARY and len(args) == 2 and not kwargs:
        return _broadcast(*args)
    if target is functional.layer_norm and set(kwargs) <= {"weight", "bias", "eps"}:
        return _normalised(args[0], tuple(args[1]))
    return None


_BINARY = frozenset((operator.add, operator.mul, torch.add, torch.mul))


def _broadcast(a: Tensor, b: Any) -> Tensor | None:
    """a combined with b of the same shape, or of one that repeats along some of a's dimensions."""
    if not isinstance(b, Tensor) or a.dtype != b.dtype or b.dim() > a.dim():
        return None
    shape = a.shape
    fits = b.shape == shape or all(m in (1, n) for n, m in zip(reversed(shape), reversed(b.shape), strict=False))
    return _empty(a, shape) if fits else None


def _concat(maps: Any, dim: Any = 0) -> Tensor | None:
    """Maps side by side in their channels."""
    if dim != 1 or not is_sequence(maps):
        return None
    found = [x for x in maps if isinstance(x, Tensor) and x.dim() == 4]
    if len(found) != len(maps) or len({(x.dtype, x.shape[0], *x.shape[2:]) for x in found}) != 1:
        return None
    return _empty(found[0], (found[0].shape[0], sum(x.shape[1] for x in found), *found[0].shape[2:]))


def _normalised(x: Tensor, last: tuple[int, ...]) -> Tensor | None:
    """Layer norm over the `last` dimensions."""
    return _empty(x, x.shape) if last and tuple(x.shape[-len(last) :]) == last else None


def _layer_norm(module: Any, x: Tensor) -> Tensor | None:
    return _normalised(x, module.normalized_shape)


def _has_hooks(module: nn.Module) -> bool:
    own = vars(module)
    return bool(own["_forward_hooks"] or own["_forward_pre_hooks"])


def _empty(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=_META)


_META = torch.device("meta")


def _pointwise(module: nn.Module, x: Tensor) -> Tensor:
    return x if vars(module).get("inplace") else _empty(x, x.shape)


def _norm(module: Any, x: Tensor) -> Tensor | None:
    fits = x.dim() == 4 and x.shape[1] == module.num_features
    return _empty(x, x.shape) if fits else None


def _dropout(module: Any, x: Tensor) -> Tensor | None:
    return None if module.training else x


def _same(_: Any, x: Tensor) -> Tensor:
    return x


def _conv(module: Any, x: Tensor) -> Tensor | None:
    if x.dim() != 4 or x.shape[1] != module.in_channels or x.dtype != module.weight.dtype:
        return None
    if isinstance(module.padding, str):
        return None
    return _slid(x, module.out_channels, module.kernel_size, module.stride, module.dilation, module.padding)


def _pool(module: Any, x: Tensor) -> Tensor | None:
    if x.dim() != 4 or getattr(module, "return_indices", False):
        return None
    kernel, stride, padding = _pair(module.kernel_size), _pair(module.stride), _pair(module.padding)
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        return None
    dilation = _pair(getattr(module, "dilation", 1))
    return _slid(x, x.shape[1], kernel, stride, dilation, padding, up=module.ceil_mode)


def _slid(x: Tensor, channels: int, *window: tuple[int, int], up: bool = False) -> Tensor | None:
    sizes = [_positions(*along, up=up) for along in zip(x.shape[2:], *window, strict=True)]
    return _empty(x, (x.shape[0], channels, *sizes)) if min(sizes) > 0 else None


def _positions(length: int, kernel: int, stride: int, dilation: int, padding: int, *, up: bool) -> int:
    """How often a window fits; rounded `up`, once more where it then still begins on the map or its first padding."""
    room = length + 2 * padding - dilation * (kernel - 1) - 1
    count = room // stride + 1
    return count + 1 if up and room % stride and count * stride < length + padding else count


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _adaptive(module: Any, x: Tensor) -> Tensor | None:
    size: Any = module.output_size
    rows, columns = size if is_sequence(size) else (size, size)
    if x.dim() != 4 or getattr(module, "return_indices", False) or None in (rows, columns):
        return None
    return _empty(x, (x.shape[0], x.shape[1], int(rows), int(columns)))


def _linear(module: Any, x: Tensor) -> Tensor | None:
    fits = x.shape[-1] == module.in_features and x.dtype == module.weight.dtype
    return _empty(x, (*x.shape[:-1], module.out_features)) if fits else None


_Rule = Callable[[Any, Tensor], "Tensor | None"]
_MODULES: dict[type[nn.Module], _Rule] = {
    **dict.fromkeys((nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid), _pointwise),
    **dict.fromkeys((nn.GELU, nn.Sigmoid, nn.Tanh), _pointwise),
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d), _pool),
    nn.Identity: _same,
    nn.Dropout: _dropout,
    nn.BatchNorm2d: _norm,
    nn.LayerNorm: _layer_norm,
    nn.Conv2d: _conv,
    nn.AdaptiveAvgPool2d: _adaptive,
    nn.Linear: _linear,
}
