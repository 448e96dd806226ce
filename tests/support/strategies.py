"""Hypothesis strategies: values for a Spec's knobs, drawn from what the knobs declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import floordiv
from typing import Any

from hypothesis import strategies as st

from models.spec import Knob, Spec

FINE = 64  # grid points of a float knob that declares no step


@cache
def scalars(knob: Knob) -> st.SearchStrategy[Any]:
    """One value (of a tuple: one element) that the knob alone allows."""
    if knob.choices is not None:
        return st.sampled_from(knob.choices)
    if isinstance(knob.default, bool):
        return st.booleans()
    assert knob.low is not None, f"{knob} has neither choices nor a range"
    assert knob.high is not None, f"{knob} has no end"
    step = knob.step or (knob.high - knob.low) / FINE
    return skewed(list(grid(knob.low, knob.high, step)))


def skewed(points: Sequence[Any]) -> st.SearchStrategy[Any]:
    """One of the points, the first ones more often: small networks are quick, and all values still come up."""
    index = st.builds(floordiv, st.integers(0, len(points) - 1), st.sampled_from((1, 2, 4, 8)))
    return index.map(points.__getitem__)


def grid(low: float, high: float, step: float) -> Iterable[float]:
    """low, the multiples of step above it, and high: so that widths of low 1 and step 8 are 1, 8, 16 …"""
    first = int(low // step) + 1
    count = int(high / step + 1e-9) - first + 1
    return dict.fromkeys([low, *(round((first + i) * step, 9) for i in range(count)), high])


def values(knob: Knob, length: int | None = None) -> st.SearchStrategy[Any]:
    """A value of the knob: where its default is a tuple, one of that length (None: of any length allowed)."""
    if not isinstance(knob.default, tuple):
        return scalars(knob)
    shortest, longest = bounds(knob)
    if length is not None:
        shortest = longest = min(max(length, shortest), longest)
    return st.lists(scalars(knob), min_size=shortest, max_size=longest).map(tuple)


def bounds(knob: Knob) -> tuple[int, int]:
    """The least and greatest length of a tuple knob."""
    return knob.length or (len(knob.default), len(knob.default))


def resized(knob: Knob, value: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    """`value` cut, or its last entry repeated, to the allowed length that is nearest `length`."""
    shortest, longest = bounds(knob)
    length = min(max(length, shortest), longest)
    return (*value, *value[-1:] * length)[:length]


@st.composite
def spec_values(draw: st.DrawFn, cls: type[Spec], bases: Sequence[Spec]) -> dict[str, Any]:
    """Values for all knobs of a Spec type: those of a base (a preset) with a share of them drawn anew.

    Tuples of equal length in the base (one entry per stage) get one new length between them, so that most draws
    hold the cross-field rules; one tuple in 128 goes its own way.
    """
    base = draw(st.sampled_from(bases))
    share = draw(st.sampled_from((1, 1, 2, 4, 8)))  # of 8 knobs
    old_lengths = dict.fromkeys(len(value) for _, value in base if isinstance(value, tuple))
    lengths = {old: draw(st.sampled_from((old, old, old, *range(1, 7)))) for old in old_lengths}
    drawn = {name: getattr(base, name) for name in cls.model_fields}
    for name in nested_fields(cls):
        if draw(st.integers(0, 7)) < share:
            drawn[name] = draw(nested_values(drawn[name]))
    for name, knob in cls.knobs().items():
        value = drawn[name]
        length = lengths[len(value)] if isinstance(value, tuple) and draw(st.integers(0, 127)) else None
        if draw(st.integers(0, 7)) < share:
            drawn[name] = draw(values(knob, length))
        elif length is not None:
            drawn[name] = resized(knob, value, length)
    return drawn


def nested_fields(cls: type[Spec]) -> list[str]:
    """The fields that are no knobs: they hold Specs, in tuples or tuples of tuples."""
    return [name for name in cls.model_fields if name not in cls.knobs()]


def deep(value: Any, change: Callable[[Spec], Any]) -> Any:
    """`value` with each Spec inside its tuples changed."""
    return change(value) if isinstance(value, Spec) else tuple(deep(part, change) for part in value)


def leaf(value: Any) -> Spec:
    """The first Spec inside nested tuples."""
    return value if isinstance(value, Spec) else leaf(value[0])


@st.composite
def nested_values(draw: st.DrawFn, value: Any) -> Any:
    """Nested tuples cut short at each level, their Specs with knobs drawn anew."""
    if isinstance(value, Spec):
        return draw(spec_values(type(value), [value]))
    return tuple(draw(nested_values(part)) for part in value[: draw(st.integers(1, len(value)))])


def extremes(spec: Spec) -> list[tuple[str, Any]]:
    """(field, value) for the ends of each knob, and of the knobs of nested Specs, all of them at once."""
    own = [(name, value) for name, knob in spec.knobs().items() for value in ends(knob, getattr(spec, name))]
    inner = [
        (name, deep(nested, lambda part, change={inside: end}: {**dict(part), **change}))
        for name in nested_fields(type(spec))
        for nested in [getattr(spec, name)]
        for inside, knob in leaf(nested).knobs().items()
        for end in ends(knob, getattr(leaf(nested), inside))
    ]
    return own + inner


def ends(knob: Knob, value: Any) -> list[Any]:
    """The lowest and highest of a scalar knob; of a tuple, `value` all low, all high, shortest and longest."""
    scalar = list(knob.choices) if knob.choices is not None else [knob.low, knob.high]
    if isinstance(knob.default, bool):
        scalar = [False, True]
    if not isinstance(value, tuple):
        return scalar
    return [*((end,) * len(value) for end in scalar), *(resized(knob, value, length) for length in bounds(knob))]


def names_a_value(message: str, values: Mapping[str, Any]) -> bool:
    """Whether an error sentence names one of the knobs together with the value that it was given."""
    elements = {
        f"{name}[{i}]": element
        for name, value in values.items()
        if isinstance(value, tuple)
        for i, element in enumerate(value)
    }
    return any(
        f"{name}={value!r}" in message or f"{name}={value}" in message for name, value in {**values, **elements}.items()
    )
