"""Random networks: always other ones that can be built, the same for the same seed, of a sane size."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import models
from explorer.figures.graph_payload import graph_payload
from explorer.networks.catalog import structure
from explorer.networks.knob_text import plain
from explorer.networks.random_spec import MAX_PARAMS, random_spec
from explorer.networks.random_spec import _random as drawn_before
from models.spec import NetSpec


def shown(spec: NetSpec) -> Any:
    """What the workbench shows of a network: its graph with all figures, and its parameters."""
    analysis = structure(spec, (spec.in_channels, spec.image_size, spec.image_size))
    return graph_payload(analysis), analysis.params


@pytest.mark.parametrize("family", models.architectures(), ids=lambda entry: entry.name)
def test_every_family_gives_networks_that_can_be_built(family: models.Architecture) -> None:
    base = list(family.presets.values())[-1].spec
    drawn = [random_spec(family.name, base, seed) for seed in range(2)]
    for spec in drawn:
        models.check(spec)  # pyright: ignore[reportArgumentType]  (pydantic makes it hashable)
        module = models.build(spec, device="meta")
        assert sum(parameter.numel() for parameter in module.parameters()) <= MAX_PARAMS
        assert shown(spec) != shown(base)
        assert all(getattr(spec, name) == getattr(base, name) for name in NetSpec.model_fields)
        assert type(spec).parse(plain(spec)) == spec, "a link brings it back"
    assert any(spec != drawn[0] for spec in drawn)


def test_the_seed_says_all() -> None:
    base = models.spec("resnet50")
    first = random_spec("resnet", base, 7)
    drawn_before.cache_clear()
    assert random_spec("resnet", base, 7) == first
    assert random_spec("resnet", base, 8) != first


def test_a_preset_of_more_parameters_than_that_does_not_grow() -> None:
    base = models.spec("vgg16", fc_widths=(16_384, 4096))
    size = sum(parameter.numel() for parameter in models.build(base, device="meta").parameters())
    assert size > MAX_PARAMS
    drawn = random_spec("vgg", base, 1)
    assert sum(parameter.numel() for parameter in models.build(drawn, device="meta").parameters()) <= size


@example("mobilenet_v2", 0)  # whose first draw is a drop path
@given(st.sampled_from(["mobilenet_v2", "lenet5", "resnet_mini", "vgg_mini"]), st.integers(0, 2**31 - 1))
def test_no_draw_changes_only_what_acts_in_training(preset: str, seed: int) -> None:
    base = models.spec(preset)
    drawn = random_spec(models.architecture_of(preset).name, base, seed)
    assert shown(drawn) != shown(base)
