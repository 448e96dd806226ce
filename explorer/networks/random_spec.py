"""A network at random: a preset of a family with some of its knobs drawn anew, always one that can be built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Any

from explorer.analysis.structure import Analysis
from explorer.errors import TraceError
from explorer.networks.catalog import structure
from models.errors import SpecError
from models.spec import Knob, NetSpec, Spec

MAX_PARAMS = 200_000_000
ATTEMPTS = 60
MOST_CHANGES = 6
NEAR = 2.0  # a number is drawn from half to twice what the preset has: farther off hardly anything fits together


def random_spec(family: str, base: NetSpec, seed: int) -> NetSpec:
    """The Spec of a family's network, drawn from `base` and a seed: the same for the same three.

    It can be built, has another graph or other costs than `base`, and at most MAX_PARAMS parameters, or no more than
    `base`. Input and classes stay. Raises SpecError where ATTEMPTS draws give none.
    """
    return _random(family, type(base), base.model_dump_json(), seed)


@lru_cache(maxsize=64)
def _random(family: str, cls: type[NetSpec], values: str, seed: int) -> NetSpec:
    base = cls.model_validate_json(values)
    draw, before = Random(f"{family} {values} {seed}"), _structure(base)
    most = max(MAX_PARAMS, before.params)
    for attempt in range(ATTEMPTS):
        changes = max(1, draw.randint(1, MOST_CHANGES) - attempt // 10)  # few changes are refused less often
        try:
            spec = _drawn(draw, base, changes)
            if spec != base and (now := _structure(spec)).params <= most and _differ(before, now):
                return spec
        except (SpecError, TraceError):
            continue
    raise SpecError(f"seed={seed} gives no network in {ATTEMPTS} draws.")


def _structure(spec: NetSpec) -> Analysis:
    return structure(spec, (spec.in_channels, spec.image_size, spec.image_size))


def _differ(one: Analysis, two: Analysis) -> bool:
    """Whether anything of two networks is seen to differ; what acts in training alone, as a dropout's share, is not."""
    if (one.params, one.macs) != (two.params, two.macs):
        return True
    layers = [
        [(layer.kind, layer.op, layer.window, layer.inputs, layer.outputs) for layer in a.graph] for a in (one, two)
    ]
    return layers[0] != layers[1]


def _drawn(draw: Random, base: NetSpec, changes: int) -> NetSpec:
    """The Spec with some knobs drawn anew. Raises SpecError where their values cannot be together."""
    names = [name for name in type(base).model_fields if name not in NetSpec.model_fields]
    return base.replace(**{n: _value(draw, base, n) for n in draw.sample(names, min(changes, len(names)))})


def _value(draw: Random, spec: Spec, name: str) -> Any:
    value, knob = getattr(spec, name), type(spec).knobs().get(name)
    if knob is None:
        return _nested(draw, value)
    if isinstance(value, tuple):
        return tuple(_single(draw, knob, part) if draw.random() < 0.5 else part for part in value)
    return _single(draw, knob, value)


def _nested(draw: Random, value: Any) -> Any:
    """Tuples of Specs of which some have one knob drawn anew."""
    if isinstance(value, tuple):
        return tuple(_nested(draw, part) for part in value)
    if draw.random() < 0.5:
        return value
    name = draw.choice(list(type(value).knobs()))
    changes: Mapping[str, Any] = {name: _value(draw, value, name)}
    return value.replace(**changes)


def _single(draw: Random, knob: Knob, value: Any) -> Any:
    if knob.choices is not None:
        return draw.choice(knob.choices)
    if isinstance(value, bool):
        return draw.random() < 0.5
    step = knob.step or abs(value) / 4 or 0.1
    low, high = (knob.low or 0, value + step) if knob.high is None else (knob.low or 0, knob.high)
    first, last = max(low, value / NEAR), min(high, max(value * NEAR, value + step))
    points = [
        value + step * i for i in range(-int((value - first) / step + 1e-9), int((last - value) / step + 1e-9) + 1)
    ]
    return type(value)(round(draw.choice(points), 9))
