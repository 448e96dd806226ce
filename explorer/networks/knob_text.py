"""Values of knobs as text and back, for links and command lines: `3,4,6,3` for tuples, JSON for nested Specs."""

from __future__ import annotations

import difflib
import json
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from explorer.errors import LONGEST_SENTENCE
from models.errors import SpecError
from models.spec import Spec, first_problem

LONGEST, LONGEST_NESTED = 2000, 20_000  # characters of one value; nested Specs take up to about 5,000
MAX_BRACKETS = 6  # levels of brackets: a nested Spec has at most three


def shorten(text: str, length: int = 40) -> str:
    """Text from outside, printable and short enough for a sentence."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return repr(shown if len(shown) <= length else f"{shown[:length]}…")


def encode_knob(value: Any) -> str:
    """The value of a knob as text: `3,4,6,3` for tuples, JSON for nested Specs."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple) and all(isinstance(v, (str, int, float)) for v in value):
        return ",".join(map(encode_knob, value))
    return str(value) if isinstance(value, (str, int, float)) else json.dumps(value, separators=(",", ":"))


def decode_knob(spec: type[Spec], name: str, text: str) -> Any:
    """The value of a knob as plain data (nested Specs as dicts). Raises SpecError that names the knob and the text."""
    if name not in spec.model_fields:
        near = difflib.get_close_matches(name, spec.model_fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise SpecError(f"{shorten(name)[1:-1]} is not a knob of this architecture{hint}")
    annotation: Any = spec.model_fields[name].annotation
    description = spec.knobs().get(name)
    takes = f"; it takes {description.allowed()}" if description else ""
    refused = f"{name}={shorten(text)} is not a value that this knob can have{takes}."
    try:
        value = TypeAdapter(annotation).validate_python(_raw(annotation, text))
    except ValidationError as error:
        problem = first_problem(error, spec, name) if _is_nested(annotation) else refused
    except (ValueError, RecursionError):
        problem = refused
    else:
        problem = description.problem(name, value) if description else None
        if problem is None:
            return plain(value)
    raise SpecError(problem if len(problem) <= LONGEST_SENTENCE else refused)


def _raw(annotation: Any, text: str) -> Any:
    longest = LONGEST_NESTED if _is_nested(annotation) else LONGEST
    if len(text) > longest or text.count("[") > longest // 10 or text[: MAX_BRACKETS + 1] == "[" * (MAX_BRACKETS + 1):
        raise ValueError("too long or too deep")
    if get_origin(annotation) is not tuple:
        return text
    if _is_nested(annotation):
        return json.loads(text)
    return text.split(",") if text else []


def _is_nested(annotation: Any) -> bool:
    """Whether the knob's value is a tuple of Specs, of tuples, … rather than of plain values."""
    return get_origin(annotation) is tuple and get_args(annotation)[0] not in (int, float, str, bool)


def plain(value: Any) -> Any:
    """Specs as dicts, at any depth, so that single fields can be changed without validation."""
    if isinstance(value, Spec):
        return {name: plain(part) for name, part in value}
    return tuple(map(plain, value)) if isinstance(value, (tuple, list)) else value
