"""Which knobs of a network are its width, depth and resolution, and how all of one kind change in proportion.

The tables go by the knobs' names, which mean the same in all families. Where a family has a multiplier, it alone is
moved, as the papers do. Compound scaling moves all three by one coefficient (Tan and Le 2019, equation 3).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from explorer.errors import UserError
from models.errors import SpecError
from models.spec import Knob, NetSpec, Spec

WIDTH, DEPTH, RESOLUTION, COMPOUND = "width", "depth", "resolution", "compound"
WAYS = (WIDTH, DEPTH, RESOLUTION, COMPOUND)
# Tan and Le 2019, section 3.3: found by a grid search on B0 so that one step doubles the multiply-accumulates.
DEPTH_BASE, WIDTH_BASE, RESOLUTION_BASE = 1.2, 1.1, 1.15
GRAINS = (0, 1, 2)  # of rounding: the knob's own steps, quarters of them, single channels

_MULTIPLIERS = {WIDTH: ("width_multiplier", "width_factor"), DEPTH: ("depth_multiplier",), RESOLUTION: ()}
_NAMES = {
    WIDTH: frozenset(
        (
            "width", "widths", "stem_width", "stem_widths", "stem_out", "head_width", "head_hidden", "growth", "w0",
            "wa", "expanded", "squeeze", "expand1", "expand3", "conv1", "conv3", "conv5", "reduce3", "reduce5",
            "reduce_double", "conv_double", "pool_conv", "fc_widths", "mlp_width",
        )
    ),
    DEPTH: frozenset(("depth", "depths", "mlp_depth", "last_modules")),
    RESOLUTION: frozenset(("image_size",)),
}  # fmt: skip
_COUNTED = frozenset(("channels_7x7", "pool_features"))  # tuples that have one entry per module
_DIVIDED_BY = {
    "width": "heads",
    "image_size": "patch",
}  # where a Spec has both, the one comes in multiples of the other
MOST_MODULES = 16  # of a stage that lists its modules


def ways(spec: NetSpec) -> list[str]:
    """The ways in which a network can be scaled; compound where it has all of the others."""
    single = [way for way in WAYS[:3] if any(_moved(spec, way, factor, 2) != spec for factor in (0.5, 2.0))]
    return [*single, COMPOUND] if len(single) == 3 else single


def moved_knobs(spec: NetSpec, way: str) -> list[str]:
    """The names of the fields of a Spec that a way of scaling moves."""
    names: list[str] = []
    for single in WAYS[:3] if way == COMPOUND else (way,):
        for factor in (0.5, 2.0):
            other = _moved(spec, single, factor, 2)
            changed = (name for name, value in dict(spec).items() if getattr(other, name) != value)
            names += [name for name in changed if name not in names]
    return names


def scale(spec: NetSpec, way: str, factor: float, grain: int = 0) -> NetSpec:
    """The Spec with all knobs of a way times `factor`, rounded and kept in their ranges, validated.

    For "compound" the factor is the multiply-accumulates', about: 2 to the power of the coefficient φ. grain: one of
    GRAINS, how finely widths and sides are rounded. Raises SpecError where the rules of the Spec refuse the values.
    """
    if way not in WAYS:
        raise UserError(f"way={way!r} is not one of {', '.join(WAYS)}.")
    if way != COMPOUND:
        return type(spec).parse(dict(_moved(spec, way, factor, grain)))
    coefficient = math.log2(factor)
    for single, base in ((DEPTH, DEPTH_BASE), (WIDTH, WIDTH_BASE), (RESOLUTION, RESOLUTION_BASE)):
        spec = _moved(spec, single, base**coefficient, grain)
    return type(spec).parse(dict(spec))


def one_more(spec: NetSpec, way: str) -> list[NetSpec]:
    """The Specs, valid ones alone, with one block more in one place, or one step of channels more in one place."""
    found: list[NetSpec] = []
    for other in _raised_once(spec, way):
        with contextlib.suppress(SpecError):
            found.append(type(spec).parse(dict(other)))
    return found


def _raised_once(value: Any, way: str) -> list[Any]:
    """A Spec, or tuple of them, with one number of a way raised by its step: as many as there are numbers."""
    if isinstance(value, tuple):
        inside = [
            (*value[:i], new, *value[i + 1 :]) for i, entry in enumerate(value) for new in _raised_once(entry, way)
        ]
        lists_modules = way == DEPTH and value and isinstance(value[0], Spec) and "depth" not in type(value[0]).knobs()
        return [*inside, _longer(value, (len(value) + 1) / len(value))] if lists_modules else inside
    if not isinstance(value, Spec):
        return []
    own, found = type(value).knobs(), []
    for name, held in dict(value).items():
        if name in _NAMES[way]:
            step = 1 if way == DEPTH else own[name].step or 1
            raised = _each_raised(held, step) if isinstance(held, tuple) else [type(held)(held + step)]
        else:
            raised = [] if name in own else _raised_once(held, way)
        found += [value.model_copy(update={name: new}) for new in raised]
    return found


def _each_raised(numbers: tuple[int, ...], step: float) -> list[tuple[int, ...]]:
    return [(*numbers[:i], number + int(step), *numbers[i + 1 :]) for i, number in enumerate(numbers)]


def _moved(spec: Any, way: str, factor: float, grain: int) -> Any:
    """A Spec, or one inside it, with its knobs of one way changed; not validated."""
    own = type(spec).knobs()
    multiplier = next((name for name in _MULTIPLIERS[way] if name in own and not _is_inner(name, own)), None)
    if multiplier is not None:
        value = _number(getattr(spec, multiplier), own[multiplier], factor, grain)
        return spec.model_copy(update={multiplier: value})
    changes: dict[str, Any] = {}
    for name, value in dict(spec).items():
        if name in _NAMES[way]:
            divider = getattr(spec, _DIVIDED_BY.get(name, ""), 1)
            change = partial(_number, knob=own[name], factor=factor, grain=grain, divider=divider)
            changes[name] = tuple(map(change, value)) if isinstance(value, tuple) else change(value)
        elif name in _COUNTED:
            changes[name] = _counted(value, own[name], way, factor, grain)
        elif name not in own:
            changes[name] = _nested(value, way, factor, grain)
    return spec.model_copy(update=changes)


def _is_inner(name: str, own: Mapping[str, Knob]) -> bool:
    """A residual network's width_factor widens its blocks inside alone; its widths are then what makes it wide."""
    return name == "width_factor" and "widths" in own


def _number(value: float, knob: Knob, factor: float, grain: int, divider: int = 1) -> float:
    """One number of a knob times the factor, on its grain, in its range; 0 stands for "none" and stays."""
    if value == 0:
        return value
    step = knob.step or 1
    if isinstance(value, int):
        unit = math.lcm(max(1, (int(step), int(step) // 4, 1)[grain]), divider)
        found: float = unit * max(1, round(value * factor / unit))
    else:
        unit = (step, step / 5, step / 50)[grain]
        found = round(unit * round(value * factor / unit), 6)
    return type(value)(min(max(found, knob.low or 0), knob.high or found))


def _counted(values: tuple[int, ...], knob: Knob, way: str, factor: float, grain: int) -> tuple[int, ...]:
    """A tuple of one width per module: its entries are widths, its length is a depth."""
    if way == WIDTH:
        return tuple(int(_number(value, knob, factor, grain)) for value in values)
    if way == RESOLUTION:
        return values
    return _resampled(values, round(len(values) * factor), knob.length or (1, len(values)))


def _resampled(entries: tuple[Any, ...], count: int, limits: tuple[int, int]) -> tuple[Any, ...]:
    """As many entries, the last one again and again where there are too few."""
    count = min(max(count, limits[0]), limits[1])
    return (*entries[:count], *[entries[-1]] * (count - len(entries)))


def _nested(value: Any, way: str, factor: float, grain: int) -> Any:
    """Specs in tuples: each is changed; a stage that lists its modules is as deep as it is long."""
    if not isinstance(value, tuple):
        return _moved(value, way, factor, grain) if isinstance(value, Spec) else value
    changed = tuple(_nested(entry, way, factor, grain) for entry in value)
    if way == DEPTH and value and isinstance(value[0], tuple):
        return tuple(_longer(stage, factor) for stage in changed)
    return changed


def _longer(stage: tuple[Any, ...], factor: float) -> tuple[Any, ...]:
    """A stage of more or fewer modules; what is added keeps the size of the map."""
    added = stage[-1]
    if "stride" in type(added).knobs():
        added = added.model_copy(update={"stride": 1})
    count = min(max(1, round(len(stage) * factor)), MOST_MODULES)
    return (*stage[:count], *[added] * (count - len(stage)))
