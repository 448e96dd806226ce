"""Settings as text and back: what a link may say, and one sentence for what it may not. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from explorer.errors import UserError
from explorer.networks.knob_text import LONGEST, decode_knob, plain, shorten
from models.spec import Spec


@dataclass(frozen=True)
class Setting:
    """One value of the state that a link keeps.

    default: also tells the type (bool, int, float or str). choices: a tuple, or a function where they depend on what
    is installed; empty for free text, which the view that uses it has to check, or `check`: it raises UserError with
    half a sentence. of_network: whether it means nothing in another network. instead: what the default is to a person.
    """

    name: str
    default: Any
    low: int | float | None = None
    high: int | float | None = None
    choices: tuple[Any, ...] | Callable[[], tuple[Any, ...]] = ()
    of_network: bool = False
    instead: str = "the default"
    check: Callable[[Any], object] | None = None

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
        if self.check and value != self.default:
            try:
                self.check(value)
            except UserError as error:
                raise self._refusal(text, str(error)) from None
        return value

    def _refusal(self, text: str, why: str) -> UserError:
        instead = self.instead if self.default == "" else f"{self.default}"
        return UserError(f"{self.name}={shorten(text)} {why}; {instead} is used.")


_KINDS = {bool: "0 or 1", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class KnobSet:
    """The knobs of one Spec, which a link keeps under `prefix`: what differs from that Spec, as plain values.

    spec, owner: the Spec before any knob was changed, and its name, from the values of the settings; None where there
    is none. title: tells this set from others in sentences and keys. origin: what the unchanged values are called.
    fixed: fields that are set elsewhere.
    """

    prefix: str
    spec: Callable[[Mapping[str, Any]], Spec | None]
    owner: Callable[[Mapping[str, Any]], str]
    title: str = ""
    origin: str = "preset"
    fixed: tuple[str, ...] = ()

    def decode(self, spec: Spec | None, name: str, text: str) -> Any:
        """The value that a link gives one of the knobs. Raises UserError with one sentence that names it."""
        where = f"{self.title}: " if self.title else ""
        if spec is None:
            why = "no block, as none is chosen there" if self.title else "presets, and this network is none"
            raise UserError(f"{where}{shorten(name)[1:-1]} is a knob of {why}.")
        if name in self.fixed:
            raise UserError(f"{where}{name} cannot be set here.")
        try:
            return decode_knob(type(spec), name, text)
        except UserError as error:
            raise UserError(f"{where}{error}") from None


def changed_knobs(spec: Spec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the plain values that differ from the Spec's own."""
    own = plain(spec)
    return {name: value for name, value in values.items() if value != own[name]}
