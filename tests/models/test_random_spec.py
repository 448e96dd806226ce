"""Random networks: always ones that can be built, the same for the same seed, of a sane size."""

from __future__ import annotations

import pytest

import models
from explorer.networks.knob_text import plain
from models.random_spec import MAX_PARAMS, random_spec
from models.random_spec import _random as drawn_before
from models.spec import NetSpec


@pytest.mark.parametrize("family", models.architectures(), ids=lambda entry: entry.name)
def test_every_family_gives_networks_that_can_be_built(family: models.Architecture) -> None:
    base = list(family.presets.values())[-1].spec
    drawn = [random_spec(family.name, base, seed) for seed in range(2)]
    for spec in drawn:
        models.check(spec)  # pyright: ignore[reportArgumentType]  (pydantic makes it hashable)
        module = models.build(spec, device="meta")
        assert sum(parameter.numel() for parameter in module.parameters()) <= MAX_PARAMS
        assert spec != base
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
