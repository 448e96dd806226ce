"""Which knobs made a layer: those of which another value gives it other weights, another window, or no place at all.

Nothing is tabled: each knob is changed on the meta device, and the network compared with the one at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

from torch import nn

from explorer.networks.knob_paths import KnobPath, at, changed, leaves
from explorer.networks.knob_text import plain
from models.errors import SpecError
from models.layers import StochasticDepth
from models.meta import on_meta, only_compared
from models.registry import Architecture
from models.spec import Knob, NetSpec, knob_at

TRAINING_ONLY = (nn.Dropout, nn.Dropout2d, StochasticDepth)
Signature = tuple[str, str, tuple[Any, ...]]


def knobs_of_layer(spec: NetSpec, architecture: Architecture, layer: str) -> list[KnobPath]:
    """The paths of the knobs that the layer of that id hangs on, in the order of the Spec's fields.

    Entries of tuples and of nested Specs count singly. A layer without a module of its own (a sum that is written as
    `+`) hangs on none. Raises SpecError where the Spec itself cannot be built.
    """
    path = layer.partition("#")[0]
    if path == "input":
        return [("in_channels",), ("image_size",)]
    return [knob for knob, touched in _touched(spec, architecture) if path in touched]


def _touched(spec: NetSpec, architecture: Architecture) -> tuple[tuple[KnobPath, frozenset[str]], ...]:
    return _touched_by_text(architecture.builder, type(spec), spec.model_dump_json())


@lru_cache(maxsize=16)
def _touched_by_text(builder: Any, cls: type[NetSpec], text: str) -> tuple[tuple[KnobPath, frozenset[str]], ...]:
    """For each knob the modules, by path, that change or go where it has another value."""
    spec = cls.model_validate_json(text)
    with only_compared():
        here = _signatures(builder, spec)
        return tuple((path, _touched_by(builder, spec, here, path)) for path in leaves(plain(spec)))


def _touched_by(builder: Any, spec: NetSpec, here: dict[str, Signature], path: KnobPath) -> frozenset[str]:
    """One step decides where as many modules are left; else the lowest value does, which takes away what repeats."""
    knob, value = knob_at(type(spec), path), at(plain(spec), path)
    assert knob, f"{path} is no knob"
    one_step = _varied(builder, spec, path, _others(knob, value))
    if one_step is None or len(one_step) == len(here) or knob.low is None or knob.low == value:
        return frozenset(_differing(here, one_step or here))
    return frozenset(_differing(here, _varied(builder, spec, path, [type(value)(knob.low)]) or one_step))


def _varied(builder: Any, spec: NetSpec, path: KnobPath, values: list[Any]) -> dict[str, Signature] | None:
    """The modules with the first of the values at `path` that makes a network, None where none does."""
    own = plain(spec)
    for value in values:
        try:
            other = spec.replace(**{path[0]: changed(own[path[0]], path[1:], value)})
        except SpecError:
            continue
        return _signatures(builder, other)
    return None


def _others(knob: Knob, value: Any) -> list[Any]:
    """Other values, the nearest first; that which leaves something out last."""
    if isinstance(value, bool):
        return [not value]
    if knob.choices is not None:
        return sorted((choice for choice in knob.choices if choice != value), key=lambda choice: choice == "none")
    step = knob.step or abs(value) or 0.1
    low, high = knob.low, knob.high
    near = [value + step, value - step, value * 2, value / 2]
    inside = [v for v in near if (low is None or v >= low) and (high is None or v <= high)]
    return [type(value)(v) for v in inside if type(value)(v) != value]


def _signatures(builder: Any, spec: NetSpec) -> dict[str, Signature]:
    """What each module without children is, by path: its class, arguments, and shapes of its weights."""
    with on_meta():
        module: nn.Module = builder(spec)
    found: dict[str, Signature] = {}
    _sign(module, "", found)
    return found


def _sign(module: nn.Module, path: str, found: dict[str, Signature]) -> None:
    """Add what is in a module at that path, read from its own tables: torch's iterators take longer than all else."""
    for name, child in module._modules.items():
        if child is not None:
            _sign(child, f"{path}.{name}" if path else name, found)
    if not module._modules and not isinstance(module, TRAINING_ONLY):
        shapes = tuple(tuple(p.shape) for p in module._parameters.values() if p is not None)
        found[path] = type(module).__name__, module.extra_repr(), shapes


def _differing(before: dict[str, Signature], after: dict[str, Signature]) -> set[str]:
    """The modules of the first that are gone, or other, in the second: aligned in order, as numbers in names move."""
    names, old, new = list(before), list(before.values()), list(after.values())
    if len(old) == len(new):
        return {name for name, one, two in zip(names, old, new, strict=True) if one != two}
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    if not old or not new:
        return set(names[start : start + len(old)])
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    spans = (range(a, b) for kind, a, b, _, _ in matcher.get_opcodes() if kind in ("replace", "delete"))
    return {names[start + i] for span in spans for i in span}


def _shared(one: Sequence[Signature], two: Sequence[Signature]) -> int:
    """How many entries two sequences begin with in common."""
    count = 0
    for left, right in zip(one, two, strict=False):
        if left != right:
            break
        count += 1
    return count
