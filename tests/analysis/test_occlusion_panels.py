"""Figure 7 of Zeiler and Fergus (2014): each panel against the pass, projection or search that it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer.analysis.activations import feature_maps
from explorer.analysis.deconvnet import project
from explorer.analysis.occluder import occlude
from explorer.analysis.occlusion import OcclusionSettings
from explorer.analysis.occlusion_panels import OcclusionPanels, occlusion_panels, strongest_elsewhere
from explorer.errors import Cancelled, UserError
from explorer.graph.trace import TracedProgram
from explorer.networks import catalog
from explorer.training.unseen import unseen_items

SETTINGS = OcclusionSettings(window=24, stride=20)
LAST_MAPS = "features.16"


@pytest.fixture(scope="module")
def program() -> TracedProgram:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"), "cpu").program


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return unseen_items(12, 64).images


@pytest.fixture(scope="module")
def steps(program: TracedProgram, pictures: torch.Tensor) -> list[OcclusionPanels]:
    found = occlusion_panels(program, pictures[0], None, SETTINGS, pictures[1:])
    return [replace(each, occlusion=replace(each.occlusion, done=each.occlusion.done.copy())) for each in found]


def test_the_maps_are_those_of_a_pass_at_each_place(
    program: TracedProgram, pictures: torch.Tensor, steps: list[OcclusionPanels]
) -> None:
    found, image = steps[-1], pictures[0]
    assert found.layer == LAST_MAPS
    assert found.channel == int(feature_maps(program, image, LAST_MAPS).sum((1, 2)).argmax())
    activation = found.occlusion.activation
    assert activation is not None
    for row, column in np.ndindex(*found.occlusion.shape):
        hidden = occlude(image, found.occlusion.box(row, column), fill_value=SETTINGS.filling(image[None]))
        maps = feature_maps(program, hidden, LAST_MAPS)
        assert activation[row, column] == pytest.approx(float(maps[found.channel].sum()), rel=1e-4, abs=1e-4)


def test_the_projections_are_of_the_strongest_map_here_and_elsewhere(
    program: TracedProgram, pictures: torch.Tensor, steps: list[OcclusionPanels]
) -> None:
    found, others = steps[-1], pictures[1:]
    here = project(program, pictures[0], LAST_MAPS, found.channel)
    assert found.projection is not None
    assert torch.equal(found.projection.signal, here.signal)
    strongest = [float(feature_maps(program, each, LAST_MAPS)[found.channel].max()) for each in others]
    assert [each.picture for each in found.others] == np.argsort(strongest)[::-1][:3].tolist()
    for each in found.others:
        assert each.projection.activation == pytest.approx(strongest[each.picture], rel=1e-4)


def test_the_projections_are_there_before_the_maps_which_fill_in(steps: list[OcclusionPanels]) -> None:
    assert steps[0].projection is None
    with_others = next(each for each in steps if each.others)
    assert not with_others.occlusion.done.any()
    assert steps[-1].occlusion.done.all()


def test_a_channel_that_is_not_there_and_a_cancel(program: TracedProgram, pictures: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"channel=999: layer 'features\.16' has channels 0 to"):
        strongest_elsewhere(program, pictures, LAST_MAPS, 999)
    with pytest.raises(Cancelled):
        strongest_elsewhere(program, pictures, LAST_MAPS, 0, cancel=lambda: True)
