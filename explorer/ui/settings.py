"""Settings as text and back: what a link may say, and one sentence for what it may not. No Streamlit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from explorer.errors import UserError
from models.spec import Spec

KNOB = "k."  # what the names of knobs begin with in a link
LONGEST = 2000  # characters of one value
DEEPEST = 6  # levels of brackets: a nested Spec has at most three


@dataclass(frozen=True)
class Setting:
    """One value of the state that a link keeps.

    default: also tells the type (bool, int, float or str). choices: a tuple, or a function where they depend on what
    is installed; empty for free text, which the view that uses it has to check.
    """

    name: str
    default: Any
    low: int | float | None = None
    high: int | float | None = None
    choices: tuple[Any, ...] | Callable[[], tuple[Any, ...]] = ()

    def encode(self, value: Any) -> str:
        """The value as a link says it."""
        return str(int(value)) if isinstance(value, bool) else str(value)

    def decode(self, text: str) -> Any:
        """The value that a link says. Raises UserError with one sentence that names it."""
        kind = type(self.default)
        try:
            value: Any = TypeAdapter(kind).validate_python(text[:LONGEST])
        except ValidationError:
            raise self._refusal(text, f"is not {_KINDS[kind]}") from None
        choices = self.choices() if callable(self.choices) else self.choices
        if choices and value not in choices:
            raise self._refusal(text, f"is not one of {', '.join(map(str, choices[:12]))}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(text, "is not a finite number")
        low, high = self.low, self.high
        if (low is not None and value < low) or (high is not None and value > high):
            raise self._refusal(text, f"is not between {low} and {high}")
        return value

    def _refusal(self, text: str, why: str) -> UserError:
        return UserError(f"{self.name}={shorten(text)} {why}; {self.default!r} is used.")


_KINDS = {bool: "0 or 1", int: "a whole number", float: "a number", str: "a text"}


def shorten(text: str, length: int = 40) -> str:
    """Text from outside, printable and short enough for a sentence."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return repr(shown if len(shown) <= length else f"{shown[:length]}…")


def encode_knob(value: Any) -> str:
    """The value of a knob as a link says it: `3,4,6,3` for tuples, JSON for nested Specs."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple) and all(isinstance(v, (str, int, float)) for v in value):
        return ",".join(map(encode_knob, value))
    return str(value) if isinstance(value, (str, int, float)) else json.dumps(value, separators=(",", ":"))


def decode_knob(spec: type[Spec], name: str, text: str) -> Any:
    """The value of a knob as plain data (nested Specs as dicts). Raises UserError that names the knob and the text."""
    if name not in spec.model_fields:
        raise UserError(f"{KNOB}{shorten(name)[1:-1]} is not a knob of this architecture.")
    annotation: Any = spec.model_fields[name].annotation
    try:
        value = TypeAdapter(annotation).validate_python(_raw(annotation, text))
    except (ValidationError, ValueError, RecursionError):
        raise UserError(f"{KNOB}{name}={shorten(text)} is not a value that this knob can have.") from None
    description = spec.knobs().get(name)
    if description and (problem := description.problem(name, value)):
        raise UserError(f"{KNOB}{problem}.")
    return plain(value)


def _raw(annotation: Any, text: str) -> Any:
    if len(text) > LONGEST or text.count("[") > 200 or text[: DEEPEST + 1] == "[" * (DEEPEST + 1):
        raise ValueError("too long or too deep")
    if get_origin(annotation) is not tuple:
        return text
    if get_args(annotation)[0] in (int, float, str, bool):
        return text.split(",") if text else []
    return json.loads(text)


def plain(value: Any) -> Any:
    """Specs as dicts, at any depth, so that single fields can be changed without validation."""
    if isinstance(value, Spec):
        return {name: plain(part) for name, part in value}
    return tuple(map(plain, value)) if isinstance(value, (tuple, list)) else value


def changed_knobs(spec: Spec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the plain values that differ from the Spec's own."""
    own = plain(spec)
    return {name: value for name, value in values.items() if value != own[name]}
