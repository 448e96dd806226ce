"""Python expressions as data: what a module is made by, with the numbers apart from the rest; and how they are written.

Two expressions of one form may differ in their numbers alone: these become the parameters of a class.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, fx, nn

from explorer.errors import UserError

WIDTH = 100  # characters of a line
SAME_ALONG_AXES = ("kernel_size", "stride", "padding", "dilation", "output_padding")


@dataclass(frozen=True)
class Making:
    """A call: a name, positional arguments and named ones; values are literals, Calls, Names, or tuples of these."""

    name: str
    args: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Name:
    """A variable or any other text that stands as it is."""

    text: str


def is_number(value: Any) -> bool:
    """Whether a value may be a parameter of a class: a number, or numbers along axes."""
    if isinstance(value, tuple):
        return bool(value) and all(is_number(each) and not isinstance(each, tuple) for each in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers(value: Any, label: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers in an expression, in order, each with what it is there."""
    if is_number(value):
        yield label, value
    elif isinstance(value, Making):
        for each in value.args:
            yield from numbers(each, label)
        for name, each in value.named:
            yield from numbers(each, name)
    elif isinstance(value, tuple | list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each, label)


def with_numbers(value: Any, new: Iterator[Any]) -> Any:
    """The expression with other numbers, given in the same order."""
    if is_number(value):
        return next(new)
    if isinstance(value, Making):
        args = tuple(with_numbers(each, new) for each in value.args)
        return Making(value.name, args, tuple((name, with_numbers(each, new)) for name, each in value.named))
    if isinstance(value, dict):
        return {key: with_numbers(each, new) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(with_numbers(each, new) for each in value)
    return value


def written(value: Any, indent: int = 0) -> str:
    """An expression as Python; one that is too long for a line has one argument a line, and equal ones are a loop."""
    flat = _flat(value)
    if len(flat) + indent <= WIDTH and not (isinstance(value, Making) and _loops(value.args)):
        return flat
    pad = " " * (indent + 4)
    if (
        isinstance(value, Making)
        and len(value.args) == 1
        and not value.named
        and isinstance(value.args[0], list | dict)
    ):
        return f"{value.name}({written(value.args[0], indent)})"
    if isinstance(value, Making) and (value.args or value.named):
        parts = [written_run(each, count, indent + 4) for each, count in _runs(value.args)]
        parts += [f"{name}={written(each, indent + 4 + len(name) + 1)}" for name, each in value.named]
        opening, closing = f"{value.name}(", ")"
    elif isinstance(value, list):
        parts = [written_run(each, count, indent + 4) for each, count in _runs(tuple(value))]
        opening, closing = "[", "]"
    elif isinstance(value, dict):
        parts = [f"{key!r}: {written(each, indent + 6 + len(key))}" for key, each in value.items()]
        opening, closing = "{", "}"
    else:
        return flat
    return f"{opening}\n" + "".join(f"{pad}{part},\n" for part in parts) + " " * indent + closing


LEAST_RUN = 3  # equal arguments that are written as a loop


def _runs(values: tuple[Any, ...]) -> list[tuple[Any, int]]:
    """Arguments, and how often each stands there in a row; few of them stay single."""
    groups = [list(group) for _, group in groupby(values, key=_flat)]
    return [
        entry
        for group in groups
        for entry in ([(group[0], len(group))] if _is_run(group) else [(each, 1) for each in group])
    ]


def _is_run(group: list[Any]) -> bool:
    return len(group) >= LEAST_RUN and isinstance(group[0], Making)


def _loops(values: tuple[Any, ...]) -> bool:
    return any(count > 1 for _, count in _runs(values))


def written_run(value: Any, count: int, indent: int) -> str:
    """An argument, or as many of it as there are in a row."""
    text = written(value, indent)
    return text if count == 1 else f"*({text} for _ in range({count}))"


def _flat(value: Any) -> str:
    if isinstance(value, Making):
        parts = [_flat(each) for each in value.args] + [f"{name}={_flat(each)}" for name, each in value.named]
        return f"{value.name}({', '.join(parts)})"
    if isinstance(value, Name):
        return value.text
    return literal(value)


def literal(value: Any) -> str:
    """A plain value as Python. Raises UserError for what cannot be written."""
    if value is None or value is Ellipsis or type(value) in (bool, int, str):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, torch.Size | tuple):
        inner = ", ".join(_flat(each) for each in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(_flat(each) for each in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_flat(each)}" for key, each in value.items()) + "}"
    if isinstance(value, slice):
        return f"slice({_flat(value.start)}, {_flat(value.stop)}, {_flat(value.step)})"
    if isinstance(value, torch.dtype | torch.memory_format):
        return str(value)
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    raise UserError(f"A value of type {type(value).__name__} in the network cannot be written as Python.")


# -- what makes a module ----------------------------------------------------------------------------------------------


_TRACER = fx.Tracer()


def is_leaf(module: nn.Module) -> bool:
    """Whether torch has the module's class, and a trace calls it as a whole."""
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        return False
    return getattr(nn, type(module).__name__, None) is type(module) and _TRACER.is_leaf_module(module, "")


def constructor(module: nn.Module, path: str) -> Making:
    """The call that makes one of torch's modules, without its weights. Raises UserError where none can be told."""
    positional, named = [], []
    for name, parameter in inspect.signature(type(module).__init__).parameters.items():
        if name in ("self", "device", "dtype") or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = _argument(module, name, parameter.default)
        if parameter.default is parameter.empty:
            positional.append(value)
        elif value != parameter.default or type(value) is not type(parameter.default):
            named.append((name, value))
    found = Making(f"nn.{type(module).__name__}", tuple(positional), tuple(named))
    _check(module, found, path)
    return found


def _argument(module: nn.Module, name: str, default: Any) -> Any:
    if name in ("bias", "add_bias_kv"):
        own = {"add_bias_kv": "bias_k", "bias": "in_proj_bias" if hasattr(module, "in_proj_bias") else "bias"}[name]
        if hasattr(module, own):
            return getattr(module, own) is not None
    value = getattr(module, name, default)
    if isinstance(value, list):
        value = tuple(value)
    same = isinstance(value, tuple) and len({*value}) == 1 and name in SAME_ALONG_AXES
    return value[0] if same else value


def _check(module: nn.Module, call: Making, path: str) -> None:
    """Make the module again, on meta, and compare what it says of itself and the shapes of its weights."""
    try:
        with torch.device("meta"):
            again = type(module)(*call.args, **dict(call.named))
        same = again.extra_repr() == module.extra_repr() and _shapes(again) == _shapes(module)
    except (TypeError, ValueError, RuntimeError):
        same = False
    if not same:
        raise UserError(f"{path or 'The network'} is a {type(module).__name__} that cannot be written as Python.")


def _shapes(module: nn.Module) -> dict[str, Any]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items() if isinstance(value, Tensor)}
