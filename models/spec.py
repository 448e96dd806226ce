"""A hyperparameter is declared once, with range and help; the builder, UI, CLI, permalink and tests all read it."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from explorer.errors import listed, shown
from models.errors import SpecError


@dataclass(frozen=True)
class Knob:
    """What a person may do with one field of a Spec; `low`, `high` and `choices` hold for each element of a tuple."""

    default: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] | None = None
    length: tuple[int, int] | None = None
    unit: str = ""
    help: str = ""
    paper: Any = None
    needs: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def idle(self, values: Mapping[str, Any]) -> str | None:
        """Why the knob does nothing beside these values of the others; None where it does something."""
        for other, wanted in self.needs:
            if values[other] not in wanted:
                return f"No effect while {other} is {_said(values[other])}."
        return None

    def problem(self, name: str, value: Any) -> str | None:
        """Say what is wrong with `value`, naming the knob, or None where nothing is."""
        if isinstance(value, tuple):
            return self._length_problem(name, value) or next(
                (p for i, v in enumerate(value) if (p := self.problem(f"{name}[{i}]", v))), None
            )
        if self.choices is not None and value not in self.choices:
            return f"{name}={shown(value)} is not one of {listed(self.choices)}"
        if self.low is not None and value < self.low:
            return f"{name}={shown(value)} is below its lowest value {self.low:g}; it takes {self.allowed()}"
        if self.high is not None and value > self.high:
            return f"{name}={shown(value)} is above its highest value {self.high:g}; it takes {self.allowed()}"
        return None

    def allowed(self) -> str:
        """What the value, or each element of a tuple, may be, in words: "8 to 1024 px"."""
        if self.choices is not None:
            return f"one of {listed(self.choices)}"
        unit = f" {self.unit}" if self.unit else ""
        ends = (self.low, self.high)
        if None not in ends:
            return f"{self.low:g} to {self.high:g}{unit}"
        kind = self.default[0] if isinstance(self.default, tuple) and self.default else self.default
        return {bool: "true or false", int: "a whole number", float: "a number"}.get(type(kind), "a text")

    def _length_problem(self, name: str, value: tuple[Any, ...]) -> str | None:
        if self.length is None or self.length[0] <= len(value) <= self.length[1]:
            return None
        return f"{name}={shown(value)} has {len(value)} entries; it takes {self.length[0]} to {self.length[1]}"


def knob(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: tuple[Any, ...] | None = None,
    length: tuple[int, int] | None = None,
    unit: str = "",
    help: str = "",
    paper: Any = None,
    needs: Mapping[str, tuple[Any, ...]] | tuple[tuple[str, tuple[Any, ...]], ...] = (),
) -> Any:
    """Declare a field of a Spec: its default, and what a person may do with it.

    low, high, step, choices: of the value, or of each element of a tuple. length: the fewest and the most elements of
    a tuple. unit, help: what the controls say. paper: the paper's value, where it has one. needs: other knobs and the
    values of theirs without which this one does nothing.
    """
    conditions = tuple(needs.items() if isinstance(needs, Mapping) else needs)
    description = Knob(default, low, high, step, choices, length, unit, help, paper, conditions)
    return Field(default, json_schema_extra={"knob": description})  # type: ignore[dict-item]


def _said(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else shown(value)


_unchecked: ContextVar[bool] = ContextVar("unchecked", default=False)


@contextlib.contextmanager
def unchecked(on: bool = True) -> Iterator[None]:
    """Within it Specs may hold values that no network can have, so that the network up to the fault can be drawn.

    With `on=False` they are checked again.
    """
    token = _unchecked.set(on)
    try:
        yield
    finally:
        _unchecked.reset(token)


class Spec(BaseModel):
    """Frozen, hashable hyperparameters of a network or block: equal specs build equal networks."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="never", allow_inf_nan=False)

    if TYPE_CHECKING:  # pydantic makes it, as the model is frozen

        def __hash__(self) -> int: ...

    @classmethod
    @cache
    def knobs(cls) -> Mapping[str, Knob]:
        """The knobs by field name, in the order of declaration; nested Specs are not among them."""
        found = {}
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, Mapping) and "knob" in extra:
                found[name] = extra["knob"]
        return MappingProxyType(found)

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """The knobs that do nothing beside the others' plain values, with the reason."""
        return {name: why for name, knob in cls.knobs().items() if (why := knob.idle(values))}

    @model_validator(mode="after")
    def _validated(self) -> Self:
        if _unchecked.get():
            return self
        for name, description in type(self).knobs().items():
            if problem := description.problem(name, getattr(self, name)):
                raise ValueError(problem)
        self.check_all()
        return self

    def check_all(self) -> None:
        """Hold the cross-field rules of the class and of all that it derives from, theirs first."""
        for cls in reversed(type(self).__mro__):
            if "check" in vars(cls):
                vars(cls)["check"](self)

    def check(self) -> None:
        """Hold the rules of this class alone: override, and call `refuse` with the values that cannot be together."""

    def refuse(self, *names: str, why: str) -> None:
        """Raise ValueError that states the values of the named knobs and why they cannot be together."""
        values = ", ".join(f"{name}={shown(getattr(self, name))}" for name in names)
        raise ValueError(f"{values}: {why}")

    def replace(self, /, **changes: Any) -> Self:
        """A copy with knobs changed, validated. Raises SpecError that names the knob and value."""
        unknown = set(changes) - set(type(self).model_fields)
        if unknown:
            raise SpecError(_unknown_knob(type(self), min(unknown)))
        return self.parse({**dict(self), **changes})

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values (as JSON gives them). Raises SpecError with one sentence for the first problem."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise SpecError(first_problem(error, cls)) from None

    def changes_from(self, other: Spec) -> dict[str, Any]:
        """The fields whose values differ from those of `other`, a spec of the same type."""
        return {name: value for name, value in self if value != getattr(other, name)}


class NetSpec(Spec):
    """What every whole network has: its input and its classes; `per_stage` are tuples of one entry for each stage."""

    per_stage: ClassVar[tuple[str, ...]] = ()

    num_classes: int = knob(1000, low=1, high=21_841, step=1, help="Number of classes that the head tells apart.")
    in_channels: int = knob(3, low=1, high=16, step=1, help="Channels of the input: 3 for RGB, 1 for gray.")
    image_size: int = knob(224, low=8, high=1024, step=8, unit="px", help="Height and width of the input.")

    def check(self) -> None:
        if self.described() != self:
            self.refuse(*self.per_stage, why="each needs one entry per stage")

    def described(self) -> Self:
        """This Spec with the stages of which every tuple has an entry: itself, if all tuples are equally long."""
        stages = {name: getattr(self, name) for name in self.per_stage}
        shortest = min(map(len, stages.values()), default=0)
        if all(len(entries) == shortest for entries in stages.values()):
            return self
        with unchecked():
            return self.replace(**{name: entries[:shortest] for name, entries in stages.items()})


def _unknown_knob(cls: type[Spec], name: str) -> str:
    near = difflib.get_close_matches(name, cls.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"its knobs are {listed(cls.model_fields)}."
    return f"{cls.__name__} has no knob {shown(name)}; {hint}"


def first_problem(error: ValidationError, cls: type[Spec], *within: str) -> str:
    """The first problem of a pydantic error as one sentence that names the field and the value.

    `within` is the field of `cls` that was validated, where it was not the whole.
    """
    first = error.errors()[0]
    loc = (*within, *first["loc"])
    if first["type"] == "extra_forbidden":
        return _nested(loc[:-1], _unknown_knob(_spec_at(cls, loc[:-1]), str(loc[-1])))
    if first["type"] == "value_error":
        return _nested(loc, first["msg"].removeprefix("Value error, "))
    takes = f"; it takes {knob.allowed()}" if (knob := knob_at(cls, loc)) else ""
    return f"{_path(loc)}={shown(first['input'])} is not valid: {first['msg'][0].lower()}{first['msg'][1:]}{takes}"


def _nested(loc: tuple[int | str, ...], problem: str) -> str:
    return f"{_path(loc)}: {problem}" if loc else problem


def _path(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def knob_at(cls: type[Spec], loc: tuple[int | str, ...]) -> Knob | None:
    """The knob at a place within a Spec of type `cls`, or of which an element is there; None where there is none.

    loc: names of fields, and places in tuples, from the outside in.
    """
    names = [i for i, part in enumerate(loc) if isinstance(part, str)]
    if not names:
        return None
    return _spec_at(cls, loc[: names[-1]]).knobs().get(str(loc[names[-1]]))


def _spec_at(cls: type[Spec], loc: tuple[int | str, ...]) -> type[Spec]:
    """The type of the Spec at a place within one of type `cls`."""
    found: Any = cls
    for part in loc:
        found = get_args(found)[0] if isinstance(part, int) else found.model_fields[part].annotation
    return found
