"""Every architecture of the registry: trains, can be reached by tools, is deterministic, right at every knob's ends."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import fx, nn

import models
from explorer.networks.catalog import structure
from models.spec import NetSpec
from tests.oracles.meta_training import quick, train_step
from tests.support.strategies import extremes, names_a_value, spec_values

FAMILIES = models.architectures()
HUGE_PX = 2**24  # on meta: no network drawn here shrinks it to nothing

WITHOUT_PAIRS = {"attention": "none", "non_local_every": 37}

each_preset = pytest.mark.parametrize("name", models.presets())
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


# What every preset must do


@each_preset
def test_preset_holds_the_rules_of_its_spec(name: str) -> None:
    spec = models.spec(name)
    assert spec.replace(image_size=spec.image_size) == spec


@each_preset
def test_preset_trains(name: str) -> None:
    train_step(quick(models.build(name, device="meta")), models.spec(name))


@each_preset
def test_tools_can_reach_every_operation(name: str) -> None:
    """Each activation, add and concat is a module of its own and none works in place."""
    model = models.build(name, device="meta")
    paths = [layer for _, layer in model.named_modules(remove_duplicate=False)]
    assert len(paths) == len(set(paths))
    assert not any(getattr(layer, "inplace", False) for layer in paths)
    for mode in (True, False):
        graph = LeafTracer().trace(model.train(mode))
        called = {node.target for node in graph.nodes if node.op in ("call_function", "call_method")}
        assert {target for target in called if not isinstance(target, type)} <= {torch.flatten}


class LeafTracer(fx.Tracer):
    """Records each module that has none inside as one step."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not list(m.children())


@each_family
def test_building_is_deterministic_under_a_seed(family: models.Architecture) -> None:
    name = min(family.presets, key=lambda name: sum(p.numel() for p in models.build(name, device="meta").parameters()))
    before = torch.get_rng_state()
    first, again, other = (list(models.build(name, seed=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


# Every value of every knob


def accepted(family: models.Architecture, values: dict[str, Any]) -> bool:
    """Whether a Spec can have these values; then it trains, and else the refusal names a knob and its value.

    A refusal because of image_size must go away on a huge image: if not, a cross-field rule is missing.
    """
    try:
        spec = family.spec.parse(values)
    except models.SpecError as error:
        assert names_a_value(str(error), values), error
        return False
    try:
        models.check(spec)  # pyright: ignore[reportArgumentType]  (pydantic makes it hashable)
    except models.SpecError as error:
        assert str(error).startswith(f"image_size={spec.image_size} ")
        with pytest.raises(models.SpecError, match=re.escape(str(error))):  # the analysis finds out as well
            structure(spec, (spec.in_channels, spec.image_size, spec.image_size))
        # All pairs of so many positions are more than an index can count: 37 is after no block.
        pairs = [name for name in ("attention", "non_local_every") if hasattr(spec, name)]
        huge = spec.model_copy(update={"image_size": HUGE_PX, **{n: WITHOUT_PAIRS[n] for n in pairs}})
        with torch.device("meta"):
            train_step(quick(family.builder(huge)), huge)
        return False
    train_step(quick(models.build(spec, device="meta")), spec)
    return True


@each_family
def test_ends_of_every_knob_build_or_are_refused_by_name(family: models.Architecture) -> None:
    base = by_size(family)[0].replace(image_size=224)
    outcomes = [accepted(family, {**dict(base), name: value}) for name, value in extremes(base)]
    assert sum(outcomes) > len(outcomes) / 2


def by_size(family: models.Architecture) -> list[NetSpec]:
    """The Specs of the presets, those with the fewest layers first."""
    specs = dict.fromkeys(preset.spec for preset in family.presets.values())
    return sorted(specs, key=lambda spec: len(list(models.build(spec, device="meta", unchecked=True).modules())))


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@each_family
def test_random_specs_build_or_are_refused_by_name(family: models.Architecture) -> None:
    outcomes: list[bool] = []
    presets = by_size(family)
    bases = presets[: -(-len(presets) // 2)]  # the deeper half differs in repeats, which take the most time
    large = [spec.replace(image_size=512) for spec in bases]  # most changes shrink the maps

    @given(spec_values(family.spec, bases + large))
    def holds(values: dict[str, Any]) -> None:
        outcomes.append(accepted(family, values))

    holds()
    assert sum(outcomes) >= 0.2 * len(outcomes), "too few are accepted for the test to show anything"


def test_too_small_an_image_names_the_layer() -> None:
    with pytest.raises(models.SpecError, match=r"^image_size=16 .* at features\.30: .*\.$"):
        models.build("vgg16", image_size=16)
