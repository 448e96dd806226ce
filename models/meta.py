"""Building on the meta device, where nothing is allocated: nothing is filled, and equal layers are made only once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_META = torch.device("meta")
_TABLES = dict | set
_unfilled: ContextVar[bool] = ContextVar("unfilled", default=False)  # whether we are within `on_meta`
_compared: ContextVar[bool] = ContextVar("compared", default=False)  # whether within `only_compared`


class _Unfilled(TorchFunctionMode):
    """Passes over what fills tensors: the random and constant initialisations."""

    FILLS = frozenset(
        (nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.uniform_, nn.init.normal_, nn.init.constant_,
         Tensor.uniform_, Tensor.normal_, Tensor.fill_, Tensor.zero_)
    )  # fmt: skip

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.FILLS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """Within it tensors are made on the meta device and not filled, which there takes most of the time."""
    token = _unfilled.set(True)
    try:
        with _META, _Unfilled():
            yield
    finally:
        _unfilled.reset(token)


@contextlib.contextmanager
def only_compared() -> Iterator[None]:
    """Within it networks on meta are made to be compared, not to run: equal layers share their tensors in all of them.

    That takes half the time where dozens of one family are built.
    """
    token = _compared.set(True)
    try:
        yield
    finally:
        _compared.reset(token)


def is_unfilled() -> bool:
    """Whether we are within `on_meta`, where to initialise weights is in vain."""
    return _unfilled.get()


def layer(make: type[nn.Module], *args: Any, **options: Any) -> nn.Module:
    """`make(*args, **options)`, of torch's layers with weights; within `on_meta` a copy of an equal one made before."""
    if not is_unfilled():
        return make(*args, **options)
    with torch._C.DisableTorchFunction():  # what is asked of a tensor, if only its shape, would pass through the modes
        found = _pattern(make, args, tuple(options.items()), torch.get_default_dtype())
        return _again(found)


def weightless(make: type[nn.Module]) -> nn.Module:
    """`make()`, of a layer without weights; within `on_meta` a copy of one made before, which takes half the time."""
    if not is_unfilled():
        return make()
    return _again(_weightless_pattern(make))


def _again(found: nn.Module) -> nn.Module:
    return _with_own_attributes(found) if _compared.get() else _copied(found)


@cache
def _weightless_pattern(make: type[nn.Module]) -> nn.Module:
    return make()


@lru_cache(maxsize=4096)
def _pattern(
    make: type[nn.Module], args: tuple[Any, ...], options: tuple[tuple[str, Any], ...], dtype: torch.dtype
) -> nn.Module:
    """The layer that equal ones are copies of, which nobody changes."""
    found = _without_start(make)(*args, **dict(options), device=_META, dtype=dtype)
    found.__class__ = make
    return found


@cache
def _without_start(make: type[nn.Module]) -> type[nn.Module]:
    """The class, but for the values that its weights start with."""
    return type(make.__name__, (make,), {"reset_parameters": lambda _: None})


def _copied(found: nn.Module) -> nn.Module:
    """The layer again, with parameters, buffers and hooks of its own."""
    copy = object.__new__(type(found))
    state = vars(copy)
    for name, value in vars(found).items():
        state[name] = value.copy() if isinstance(value, _TABLES) else value
    for table in (state["_parameters"], state["_buffers"]):
        table.update({name: _fresh(tensor) for name, tensor in table.items() if tensor is not None})
    return copy


def _with_own_attributes(found: nn.Module) -> nn.Module:
    """The layer again, with the same parameters, buffers and hooks."""
    copy = object.__new__(type(found))
    vars(copy).update(vars(found))
    return copy


def _fresh(tensor: Tensor) -> Tensor:
    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device=_META)  # torch.empty_like takes ten times as long
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
