"""A knob is declared to have no effect exactly where changing it leaves the network as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import models
from explorer.errors import UserError
from explorer.graph.trace import trace
from models.spec import Knob, NetSpec, Spec

COMPACT = [next(name for name, preset in family.presets.items() if preset.compact) for family in models.architectures()]
WITHOUT_ATTENTION = "anynet_mini_fire"  # no block of it takes any
SETTLED = (bool, int, float, str, type(None), tuple, torch.Size)


def what_is_built(spec: NetSpec) -> Any:
    """All that tells one network from another: modules with their settings, initial weights, and operations."""
    module = models.build(spec, seed=0)
    settings = [
        (path, type(part).__name__, sorted((k, repr(v)) for k, v in vars(part).items() if isinstance(v, SETTLED)))
        for path, part in module.named_modules()
    ]
    weights = [(name, tuple(value.shape), value.double().sum().item()) for name, value in module.state_dict().items()]
    return settings, weights, operations(module, spec)


def operations(module: nn.Module, spec: NetSpec) -> Any:
    graph = trace(copy.deepcopy(module).to("meta"), (spec.in_channels, spec.image_size, spec.image_size)).graph
    return [(layer.id, layer.kind, layer.inputs, layer.outputs, str(layer.attributes)) for layer in graph]


def others(knob: Knob, value: Any) -> Iterator[Any]:
    """Values near the one at hand, and the ends."""
    if isinstance(value, tuple):
        for found in others(knob, value[0]) if value else ():
            yield (found, *value[1:])
        yield value[:-1]
    elif isinstance(value, bool):
        yield not value
    elif knob.choices is not None:
        yield from (choice for choice in knob.choices if choice != value)
    else:
        step = knob.step or (knob.high - knob.low) / 10 if knob.high is not None and knob.low is not None else 1
        yield from (
            type(value)(found) for found in (value + step, value - step, knob.low, knob.high) if found is not None
        )


def effects(spec: NetSpec, name: str, before: Any) -> list[bool]:
    """For each value that can be built, whether it made another network."""
    found = []
    for value in others(type(spec).knobs()[name], getattr(spec, name)):
        if value == getattr(spec, name) or len(found) == 3:
            continue
        try:
            found.append(what_is_built(spec.replace(**{name: value})) != before)
        except UserError:
            continue
    return found


def stated(spec: NetSpec) -> dict[str, str]:
    return type(spec).idle(spec.model_dump())


def test_what_a_knob_needs_is_a_knob_beside_it_with_such_a_value() -> None:
    nets: set[type[Spec]] = {type(one.spec) for family in models.architectures() for one in family.presets.values()}
    for spec in nets | {block.spec for block in models.blocks()}:
        known = spec.knobs()
        for name, knob in known.items():
            for other, wanted in knob.needs:
                assert other in known, (spec, name)
                assert any(known[other].problem(other, value) is None for value in wanted), (spec, name, other)


@pytest.mark.parametrize("preset", [*COMPACT, WITHOUT_ATTENTION])
def test_a_knob_is_idle_where_and_only_where_it_changes_nothing(preset: str) -> None:
    spec = models.spec(preset)
    before, idle = what_is_built(spec), stated(spec)
    for name in type(spec).knobs():
        found = effects(spec, name, before)
        if name in idle:
            assert not any(found), f"{name} is said to be idle, and changes the network"
        elif found:
            assert any(found), f"{name} changes nothing, and nothing says so"
