"""Lets a tracer know what the modules of one network do, and the functions that they call with stand-ins for numbers.

torch.fx replaces nn.Module's own methods for that, which all modules of all threads share: every one of them calls the
tracer meanwhile, and Python forgets what it knew of hundreds of classes. Here the modules of the network alone are
changed, each by entries of its own: the call that torch.compile puts in place of a module's, and dicts of parameters
and buffers that are asked by name.
"""

from __future__ import annotations

import contextlib
import functools
import math
import types
from collections.abc import Callable, Generator, Iterable
from functools import cache
from typing import Any, cast

from torch import nn
from torch.fx import _symbolic_trace

from explorer.graph import own_ops

fx_trace: Any = _symbolic_trace  # what it has no public name for
Call = Callable[..., Any]
Read = Callable[[str, Any], Any]


class _Asked(dict[str, Any]):
    """A module's parameters or buffers: one that is read by name, as its attribute, passes through `read`."""

    __slots__ = ("_read",)

    def __init__(self, tensors: dict[str, Any], read: Read) -> None:
        super().__init__(tensors)
        self._read = read

    def __getitem__(self, name: str) -> Any:
        return self._read(name, super().__getitem__(name))


@contextlib.contextmanager
def intercepted(parts: Iterable[nn.Module], call: Call, read: Read) -> Generator[None]:
    """Within it a call of one of these modules is `call(module, …)`, and a parameter or buffer of theirs that is read
    as an attribute is `read(name, tensor)`."""
    before: list[tuple[dict[str, Any], dict[str, Any]]] = []
    try:
        for part in parts:
            own = vars(part)
            before.append((own, {name: own[name] for name in _ENTRIES if name in own}))
            own["_compiled_call_impl"] = functools.partial(call, part)
            for name in _TENSORS:
                if isinstance(tensors := own.get(name), dict) and tensors:
                    own[name] = _Asked(cast("dict[str, Any]", tensors), read)
        yield
    finally:
        for own, entries in before:
            own.pop("_compiled_call_impl", None)
            own.update(entries)


_TENSORS = ("_parameters", "_buffers")
_ENTRIES = ("_compiled_call_impl", *_TENSORS)


def run_itself(module: Any, *args: Any, **kwargs: Any) -> Any:
    """What a call of the module is where nothing is put in its place."""
    return module._call_impl(*args, **kwargs)


class FollowedFunctions:
    """Functions of `math`, those given to `torch.fx.wrap`, and those that a person tells of, which become operations
    where they are called with stand-ins: in their own module, and in those that took them by name."""

    def __init__(self, patcher: Any) -> None:
        self._patcher, self._searched = patcher, set[int]()
        self._wrapped = _of_math() | {id(own): fx_trace._create_wrapped_func(own) for own in own_ops.functions()}
        fx_trace._patch_wrapped_functions(patcher)
        self._search(math.__dict__)

    def search(self, forward: Any) -> None:
        """Follow those that a module's code has taken by name."""
        scope: Any = getattr(forward, "__globals__", None)
        if scope is not None and id(scope) not in self._searched:
            self._searched.add(id(scope))
            self._search(scope)

    def _search(self, scope: dict[str, Any]) -> None:
        for name, value in [(name, value) for name, value in scope.items() if id(value) in self._wrapped]:
            if not name.startswith("_"):
                self._patcher.patch(scope, name, self._wrapped[id(value)])


@contextlib.contextmanager
def following() -> Generator[FollowedFunctions]:
    """Within it functions can be followed; torch knows that torch.fx traces."""
    was = fx_trace._get_is_fx_tracing()
    fx_trace._set_is_fx_tracing(True)
    try:
        with fx_trace._new_patcher() as patcher:
            yield FollowedFunctions(patcher)
    finally:
        fx_trace._set_is_fx_tracing(was)


@cache
def _of_math() -> dict[int, types.FunctionType]:
    """What follows each function of `math`, by the identity of that function."""
    return {id(value): fx_trace._create_wrapped_func(value) for value in vars(math).values() if callable(value)}
