"""Attributions and deletion curves of many pictures together, against those of each picture alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from explorer.analysis.attribution import Scored, attribute, find_target
from explorer.analysis.attribution_batch import attribution_maps, deletion_areas
from explorer.analysis.attribution_metrics import pixel_curve
from explorer.analysis.attribution_settings import ATTRIBUTION_METHODS, AttributionMethod, AttributionSettings
from explorer.errors import UserError
from explorer.graph.trace import trace

QUICK = AttributionSettings(steps=8, samples=5, window=5, stride=3)
TARGETS = (2, 0, 4)


def scored() -> Scored:
    """Three pictures of unlike range, each with a class of its own."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    program = trace(module.eval(), (3, 16, 18))
    images = torch.randn(3, 3, 16, 18) * torch.tensor([1.0, 2.0, 0.5]).view(-1, 1, 1, 1)
    return Scored(program, find_target(program, images[:1], None, QUICK).reading, images, torch.tensor(TARGETS))


@pytest.mark.parametrize("method", ATTRIBUTION_METHODS)
def test_each_map_and_its_curve_is_that_of_the_picture_alone(method: AttributionMethod) -> None:
    several, settings = scored(), replace(QUICK, fill="blur")  # which is another for each picture
    maps = attribution_maps(several, method, settings, at_a_time=5)
    areas = deletion_areas(several, maps, settings, at_a_time=7, steps=6)
    assert maps.shape == (3, 16, 18)
    for number, image in enumerate(several.images):
        alone = attribute(several.program, image, method, TARGETS[number], settings)
        np.testing.assert_allclose(maps[number], alone.map, rtol=1e-4, atol=1e-6)
        curve = pixel_curve(several.program, image, replace(alone, map=maps[number]), "deletion", settings, steps=6)
        assert areas[number] == pytest.approx(curve.area, abs=1e-6)


def test_a_method_that_is_not_defined_is_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    program, images = trace(module.eval(), (3, 4, 4)), torch.randn(1, 3, 4, 4)
    several = Scored(program, find_target(program, images, None, QUICK).reading, images, torch.tensor([1]))
    with pytest.raises(UserError, match="no layer with rows and columns"):
        attribution_maps(several, "gradcam", QUICK, at_a_time=2)
