"""What running a person's module under a tracer could change, remembered before and put back after.

A forward may rebind attributes and buffers, hooks may compute weights (pruning, weight_norm) or store what they see. So
the attributes of every part are remembered, and the lists, dicts and sets that its attributes, its hooks and its own
code reach. What is remembered is references: no weight is copied.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache
from operator import is_
from typing import Any, cast

import torch
from torch import Tensor, nn

DEPTH = 3  # how far containers and plain objects are followed from a module or a hook
MOST = 100_000  # containers and objects that are remembered at most
SMALL = 1_000_000  # elements of a tensor that is no parameter and no buffer, up to which its values are remembered


@contextlib.contextmanager
def unchanged(module: nn.Module) -> Generator[Callable[[], None]]:
    """Put back, at the end and after any exception, what the block changes; yields what puts it back at once."""
    memory = _Memory()
    for part in parts_of(module):
        memory.keep_module(part)
    try:
        yield memory.restore
    finally:
        memory.restore()


def parts_of(module: nn.Module) -> list[nn.Module]:
    """The module and all inside it, each once: `modules()` without the names that it makes."""
    found, queue = {id(module): module}, [module]
    while queue:
        inside = vars(queue.pop()).get("_modules")
        if not isinstance(inside, dict):
            continue  # a scripted module keeps them elsewhere
        for part in cast("dict[str, nn.Module | None]", inside).values():
            if part is not None and id(part) not in found:
                found[id(part)] = part
                queue.append(part)
    return list(found.values())


class _Memory:
    """Shallow copies of dicts, lists, sets and cells, and how each is put back."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._empty: list[dict[Any, Any]] = []
        self._lists: list[tuple[Any, list[Any]]] = []
        self._sets: list[tuple[set[Any], set[Any]]] = []
        self._cells: list[tuple[types.CellType, Any]] = []
        self._globals: list[tuple[dict[str, Any], str, Any]] = []
        self._tensors: list[tuple[Tensor, int, Tensor]] = []

    def keep_module(self, part: nn.Module) -> None:
        """The attributes of one module, and what its hooks and its own code reach."""
        own = vars(part)
        self._keep_dict(own)
        if isinstance(part, torch.jit.ScriptModule):
            return  # it keeps the rest outside Python, where no tracer comes
        for registry in _TENSORS_AND_PARTS:
            self._keep_dict(own[registry])
        if _is_stock(type(part)) and not any(map(own.__getitem__, _HOOKS)):
            return
        for registry in _HOOKS:
            self._keep_dict(own[registry])
            for hook in own[registry].values():
                self.keep(hook, DEPTH)
        for name, value in own.items():
            if type(value) not in _ATOMS and name not in _REGISTRIES:
                self.keep(value, DEPTH)
        self.keep(type(part).forward, DEPTH)

    def _keep_dict(self, value: dict[Any, Any]) -> None:
        if value:
            self._dicts.append((value, value.copy()))
        else:
            self._empty.append(value)

    def keep(self, value: Any, depth: int) -> None:
        """A container, function or plain object with what it reaches; numbers, modules and classes are passed over."""
        if type(value) in _ATOMS or id(value) in self._seen or depth < 0 or len(self._seen) > MOST:
            return
        if isinstance(value, nn.Module | type | types.ModuleType):
            return
        self._seen.add(id(value))
        if isinstance(value, Tensor):
            self._keep_tensor(value)
            return
        for inner in self._parts(value):
            self.keep(inner, depth - 1)

    def _keep_tensor(self, value: Tensor) -> None:
        if type(value) is Tensor and not value.is_meta and value.numel() <= SMALL:
            self._tensors.append((value, value._version, value.detach().clone()))

    def _parts(self, value: Any) -> Iterator[Any]:
        """Remember one value, and give what it holds."""
        if isinstance(value, dict):
            found = cast("dict[Any, Any]", value)
            self._keep_dict(found)
            yield from list(found.values())
        elif isinstance(value, list | deque):
            items = cast("list[Any]", value)
            self._lists.append((items, list(items)))
            yield from list(items)
        elif isinstance(value, set):
            self._sets.append((cast("set[Any]", value), set(cast("set[Any]", value))))
        elif isinstance(value, tuple):
            yield from cast("tuple[Any, ...]", value)
        elif isinstance(value, types.FunctionType):
            yield from self._of_function(value)
        elif isinstance(value, types.MethodType):
            yield from (value.__func__, value.__self__)
        elif isinstance(value, functools.partial):
            yield from (value.func, value.args, value.keywords)
        elif (own := getattr(value, "__dict__", None)) is not None and isinstance(own, dict):
            yield own

    def _of_function(self, function: types.FunctionType) -> Iterator[Any]:
        """The variables around a function, its defaults, and the globals that it names."""
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # a cell that is not filled yet
                self._cells.append((cell, cell.cell_contents))
                yield cell.cell_contents
        yield from (function.__defaults__, function.__kwdefaults__)
        for name, is_set in _globals_named(function.__code__):
            if name in function.__globals__:
                value = function.__globals__[name]
                if is_set:
                    self._globals.append((function.__globals__, name, value))
                if type(value) in _CONTAINERS:
                    yield value

    def restore(self) -> None:
        """Put everything back; what did not change is not touched."""
        for now, before in self._dicts:
            same = (
                len(now) == len(before) and all(map(is_, now.values(), before.values())) and all(map(is_, now, before))
            )
            if not same:
                now.clear()
                now.update(before)
        if any(self._empty):
            for now in self._empty:
                now.clear()
        for sequence, items in self._lists:
            if len(sequence) != len(items) or any(a is not b for a, b in zip(sequence, items, strict=True)):
                sequence.clear()
                sequence.extend(items)
        for members, earlier in self._sets:
            if members != earlier:
                members.clear()
                members.update(earlier)
        for cell, content in self._cells:
            cell.cell_contents = content
        for scope, name, value in self._globals:
            scope[name] = value
        for tensor, version, values in self._tensors:
            if tensor._version != version:
                with torch.no_grad():
                    tensor.copy_(values)


_ATOMS = frozenset((int, float, str, bool, bytes, complex, type(None), torch.device, torch.dtype, torch.Size))
_CONTAINERS = frozenset((dict, list, set, deque, OrderedDict, defaultdict, Counter))
# The dicts in which nn.Module keeps what it holds: tensors in them are referred to, no value of theirs is copied.
_REGISTRIES = frozenset(name for name, value in vars(nn.Module()).items() if isinstance(value, dict))
_TENSORS_AND_PARTS = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@lru_cache(maxsize=4096)
def _is_stock(cls: type[nn.Module]) -> bool:
    """Whether a class is torch's own, whose forward writes into nothing but buffers."""
    return cls.__module__.startswith(("torch.nn.modules.", "torchvision."))


@lru_cache(maxsize=4096)
def _globals_named(code: types.CodeType) -> tuple[tuple[str, bool], ...]:
    """The globals that code names, and whether it binds them anew; those of functions inside it too."""
    found: dict[str, bool] = {}
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "STORE_GLOBAL"):
            found[step.argval] = found.get(step.argval, False) or step.opname == "STORE_GLOBAL"
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            found |= {name: found.get(name, False) or is_set for name, is_set in _globals_named(inner)}
    return tuple(found.items())
