"""What can be traced at all, asked before: each refusal says in one sentence what is supported."""

from __future__ import annotations

import inspect
import operator
import types
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import fx, nn
from torch.nn.modules.lazy import LazyModuleMixin

from explorer.errors import TraceError, UserError, shown
from explorer.graph.unchanged import parts_of

_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized", "torch.nn.intrinsic")


def unwrapped(module: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel and torch.compile; any other module as it is."""
    while True:
        inner = _inside(module, "module" if isinstance(module, _PARALLEL) else "_orig_mod")
        if inner is None:
            return module
        module = inner


_PARALLEL: tuple[type[nn.Module], ...] = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def _inside(module: nn.Module, name: str) -> nn.Module | None:
    parts: Any = vars(module).get("_modules")
    return cast("dict[str, nn.Module]", parts).get(name) if isinstance(parts, dict) else None


def checked_size(input_size: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) as whole numbers; raises UserError where it is something else."""
    try:
        sizes = tuple(operator.index(size) for size in input_size)
    except TypeError:
        sizes = ()
    if len(sizes) != 3 or min(sizes) < 1 or isinstance(input_size, str) or any(isinstance(n, bool) for n in input_size):
        raise UserError(
            f"input_size={shown(input_size)} is not (channels, height, width), three whole numbers above 0: what is "
            "analysed are networks of images."
        )
    return sizes


def checked(module: Any) -> nn.Module:
    """The network itself, without wrappers; a TraceError refuses what is no network of one image that has its weights
    and its code."""
    if not isinstance(module, nn.Module):
        raise TraceError(f"{type(module).__name__} is not an nn.Module; an exported program has one as `.module()`.")
    module = unwrapped(module)
    if isinstance(module, torch.jit.ScriptModule):
        raise TraceError(
            f"{_name(module)} is a module of torch.jit, scripted or traced, whose operations cannot be followed; "
            "give the nn.Module that it was made from."
        )
    parts = parts_of(module)
    for part in parts:
        if isinstance(part, LazyModuleMixin) and cast("Any", part).has_uninitialized_params():
            raise TraceError(
                f"{_place(module, part)} is a {_name(part)} whose weights have no sizes yet; "
                "call the network once on an image, and analyse it then."
            )
        if type(part).__module__.startswith(_QUANTISED):
            raise TraceError(
                f"{_place(module, part)} is a quantised {_name(part)}, which cannot run without values; "
                "analyse the network as it was before it was quantised."
            )
    _check_inputs(module)
    return module


def _check_inputs(module: nn.Module) -> None:
    required = [p.name for p in _parameters(module) if p.default is p.empty and p.kind not in _ANY_NUMBER]
    if len(required) > 1:
        raise TraceError(
            f"The forward of {_name(module)} takes {len(required)} inputs ({', '.join(required)})"[:150]
            + ": networks of one image, [N, C, H, W], can be analysed."
        )


_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    forward = module.forward
    if not isinstance(forward, types.MethodType):
        return list(inspect.signature(forward).parameters.values())
    of_self, *others = _parameters_of(forward.__func__)
    return [of_self, *others] if of_self.kind is of_self.VAR_POSITIONAL else others


@lru_cache(maxsize=1024)
def _parameters_of(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())


def defaults(module: nn.Module) -> dict[str, Any]:
    """Every argument of forward but the first keeps its default, so that `if mask is not None` is decided."""
    return {p.name: p.default for p in _parameters(module)[1:] if p.default is not p.empty}


def reads_a_dict(program: fx.Graph) -> str:
    """Why a traced forward cannot be given an image: that it takes a dict; empty if it takes none."""
    for node in program.nodes:
        given = node.args[0] if node.args else None
        if not isinstance(given, fx.Node) or given.op != "placeholder":
            continue
        key = node.args[1] if node.target is operator.getitem else None
        if isinstance(key, str) or (node.op == "call_method" and node.target in ("keys", "values", "items", "get")):
            wanted = f", of which it reads {key!r:.40}" if key else ""
            return f"its input is a dict{wanted}: networks of one image, a tensor [N, C, H, W], can be analysed"
    return ""


def _place(module: nn.Module, part: nn.Module) -> str:
    named = cast("Iterator[tuple[str, nn.Module]]", module.named_modules())
    return next(path for path, found in named if found is part) or "The network"


def _name(module: nn.Module) -> str:
    return getattr(module, "original_name", "") or type(module).__name__
