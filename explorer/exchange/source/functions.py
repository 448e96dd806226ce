"""Functions of other libraries that a trace keeps whole (torch.fx.wrap): their source goes into the file as it is."""

from __future__ import annotations

import ast
import inspect
import math
import operator
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from explorer.errors import UserError

IMPORTED = {"torch": torch, "Tensor": Tensor, "nn": nn, "F": functional, "math": math, "operator": operator}
_TAKEN = {"load", "sys", *IMPORTED}  # names that a written file has itself


def copied_functions(program: fx.Graph) -> dict[str, FunctionType]:
    """The functions that a program needs beside torch's, by name, each after those that it calls.

    Raises UserError where two of them have one name.
    """
    found: dict[str, FunctionType] = {}
    for node in program.nodes:
        if node.op == "call_function" and can_be_copied(node.target):
            for each in _with_called(node.target):
                if found.setdefault(each.__name__, each) is not each:
                    where = f"{found[each.__name__].__module__} and {each.__module__}"
                    raise UserError(f"{each.__name__} is a function of {where}; both cannot be written as Python.")
    return found


def can_be_copied(target: Any) -> bool:
    """Whether a function's source says all that it does: with what a file imports, and functions of the same kind."""
    if not isinstance(target, FunctionType) or target.__module__.partition(".")[0] == "torch":
        return False
    try:
        return all(_is_whole(each) for each in _with_called(target))
    except (OSError, RecursionError):  # no source; functions that call each other
        return False


def source_of(function: FunctionType) -> str:
    """The text of a function from `def` on, with where it is from."""
    return f"# Of {function.__module__}.\n{_text(function)}"


def _text(function: FunctionType) -> str:
    """From `def` on; empty for what is written in another way, or within something."""
    lines, _ = inspect.getsourcelines(function)
    start = next((number for number, line in enumerate(lines) if line.startswith("def ")), len(lines))
    return "".join(lines[start:]).rstrip()


def _is_whole(function: FunctionType) -> bool:
    outside = [(name, value) for name, value in _read_from_outside(function) if IMPORTED.get(name) is not value]
    is_plain = not function.__closure__ and bool(text := _text(function)) and _has_plain_defaults(text)
    is_free = function.__name__ not in _TAKEN
    return is_plain and is_free and all(isinstance(value, FunctionType) and value.__name__ == name
                                        for name, value in outside)  # fmt: skip


def _has_plain_defaults(text: str) -> bool:
    """Whether the defaults of arguments are values that stand there, and nothing that another module knows."""
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef)
    given = [*definition.args.defaults, *filter(None, definition.args.kw_defaults)]
    return all(isinstance(each, ast.Constant) for each in given)


def _with_called(function: FunctionType) -> Iterator[FunctionType]:
    for name, value in _read_from_outside(function):
        if isinstance(value, FunctionType) and IMPORTED.get(name) is not value:
            yield from _with_called(value)
    yield function


def _read_from_outside(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function's code reads of its module; an attribute of the same name as one of these counts as well."""
    for name in dict.fromkeys(_names(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
