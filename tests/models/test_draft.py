"""Knobs that make no network: what there is of it is drawn, up to the layer where it stops."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from torch import nn

import models
from explorer.graph.layers import LayerGraph
from explorer.graph.trace import trace
from models import registry
from models.draft import draft
from models.families.anynet import StageSpec
from models.spec import NetSpec, unchecked
from tests.support.page import errors, open_app
from tests.support.strategies import extremes


def drawn(preset: str | NetSpec, **values: Any) -> LayerGraph:
    """What the app shows of a preset with knobs that its Spec refuses."""
    base = models.spec(preset) if isinstance(preset, str) else preset
    family = models.architecture_for(base)
    assert isinstance(family, models.Architecture)
    with pytest.raises(models.SpecError):
        base.replace(**values)
    spec, module = draft(family, {**dict(base), **values})
    return trace(module, (spec.in_channels, spec.image_size, spec.image_size), partial=True).graph


def is_refused(spec: NetSpec, name: str, value: Any) -> bool:
    try:
        return not spec.replace(**{name: value})
    except models.SpecError:
        return True


@pytest.mark.parametrize("family", models.architectures(), ids=lambda family: family.name)
def test_of_every_refused_end_of_a_knob_something_is_drawn(family: models.Architecture) -> None:
    """Up to a fault, or whole where a rule is about layers that are then not there."""
    base = next(preset.spec for preset in family.presets.values() if preset.compact)
    refused = {name: value for name, value in extremes(base) if is_refused(base, name, value)}  # one for each knob
    for name, value in refused.items():
        graph = drawn(base, **{name: value})
        assert len(graph) > 0
        if name in base.per_stage and len(value) != len(getattr(base, name)):
            assert graph.failure
            assert graph.failure.path == "avgpool"


@pytest.mark.parametrize("name", ["depths", "widths", "strides"])
def test_stages_that_all_tuples_describe_are_drawn_whichever_is_too_short_or_too_long(name: str) -> None:
    full = getattr(models.spec("resnet18"), name)
    for value, last in ((full[:2], "layer2"), ((*full, full[-1]), "layer4")):
        graph = drawn("resnet18", **{name: value})
        stages = [layer.id.split(".")[0] for layer in graph if layer.id.startswith("layer")]
        assert stages[-1] == last
        assert "fc" not in graph
        assert graph.failure
        assert name in graph.failure.reason


@pytest.mark.parametrize(("row", "path"), [((1, 32, 3), "stages.1.0"), ((2, 32, 2), "stages.1.1")])
def test_anynet_is_drawn_up_to_the_slot_in_which_a_block_cannot_stand(
    row: tuple[int, int, int], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    halving = dataclasses.replace(models.block("nin"), name="halving", builder=lambda spec: nn.MaxPool2d(2))
    monkeypatch.setitem(registry._registry.blocks, "halving", halving)
    base: Any = models.spec("anynet_mini")
    with unchecked():
        stage = StageSpec.parse(dict(zip(StageSpec.model_fields, ("halving", *row), strict=True)))
    failure = drawn(base, stages=(base.stages[0], stage)).failure
    assert failure
    assert failure.path == path
    assert "'halving' makes maps 2 times smaller" in failure.reason


def test_the_page_says_why_and_draws_the_stages_that_there_are() -> None:
    app = open_app(preset="resnet_mini", k__depths="1,1,1,1,1")
    assert any("each needs one entry per stage" in error for error in errors(app))
    (drawn_up_to,) = [caption.value for caption in app.caption if caption.value.startswith("As far as it goes")]
    assert drawn_up_to.endswith("avgpool")
