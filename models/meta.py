"""Building on the meta device, where nothing is allocated: nothing is filled, and equal layers are made only once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_META = torch.device("meta")
_TABLES = dict | set
# The layers made so far within `on_meta`, by what they were made of; None outside it.
_made: ContextVar[dict[Any, nn.Module] | None] = ContextVar("made", default=None)
# The same of all networks within `only_compared`; None outside it.
_compared: ContextVar[dict[Any, nn.Module] | None] = ContextVar("compared", default=None)


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
    compared = _compared.get()
    token = _made.set({} if compared is None else compared)
    try:
        with _META, _Unfilled():
            yield
    finally:
        _made.reset(token)


@contextlib.contextmanager
def only_compared() -> Iterator[None]:
    """Within it networks on meta are made to be compared, not to run: equal layers share their tensors in all of them.

    That takes half the time where dozens of one family are built.
    """
    token = _compared.set({})
    try:
        yield
    finally:
        _compared.reset(token)


def is_unfilled() -> bool:
    """Whether we are within `on_meta`, where to initialise weights is in vain."""
    return _made.get() is not None


def layer(make: type[nn.Module], *args: Any, **options: Any) -> nn.Module:
    """`make(*args, **options)`, of torch's layers with weights; within `on_meta` a copy of an equal one made before."""
    made = _made.get()
    if made is None:
        return make(*args, **options)
    key = (make, args, tuple(options.items()))
    with torch._C.DisableTorchFunction():  # what is asked of a tensor, if only its shape, would pass through the modes
        if key not in made:
            made[key] = _without_start(make)(*args, **options, device=_META)
            made[key].__class__ = make
        return _copied(made[key]) if made is not _compared.get() else _with_own_attributes(made[key])


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
