"""Settings as text and back: what a link may say, and one sentence for what it may not. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from explorer.errors import UserError
from explorer.knob_text import LONGEST, plain, shorten
from models.spec import Spec

KNOB = "k."  # what the names of knobs begin with in a link


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
            raise self._refusal(text, f"is not one of {', '.join(str(c) for c in choices[:16] if c != '')}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(text, "is not a finite number")
        low, high = self.low, self.high
        if (low is not None and value < low) or (high is not None and value > high):
            raise self._refusal(text, f"is not between {low} and {high}")
        return value

    def _refusal(self, text: str, why: str) -> UserError:
        instead = "the default" if self.default == "" else f"{self.default}"
        return UserError(f"{self.name}={shorten(text)} {why}; {instead} is used.")


_KINDS = {bool: "0 or 1", int: "a whole number", float: "a number", str: "a text"}


def changed_knobs(spec: Spec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the plain values that differ from the Spec's own."""
    own = plain(spec)
    return {name: value for name, value in values.items() if value != own[name]}
