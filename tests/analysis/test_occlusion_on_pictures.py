"""Occlusion finds the object: where the true class's probability falls lowest, the object is."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from explorer.analysis.occluder import fill_values
from explorer.analysis.occlusion import OcclusionSettings, occlusion_map
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from explorer.training.batches import EVALUATION_SEED
from explorer.training.dataset import Item, draw_item

# The window is a bit over a third of the picture, as in Zeiler and Fergus's figure 7; the position is its centre.
ITEMS = 200
WINDOW, STRIDE, FILL = 24, 8, "mean"
COMPACT = ("zfnet_mini", "vgg_mini", "nin_mini", "resnet_mini", "googlenet_mini")


@cache
def items() -> list[Item]:
    return [draw_item(EVALUATION_SEED, index) for index in range(ITEMS)]


def lowest_lies_on_the_object(loaded: LoadedNetwork, item: Item) -> bool:
    """Whether the square that lowers the true class most has its centre on the object's mask."""
    image = loaded.input(item.image)
    mean, std = torch.tensor(loaded.preprocessing.mean), torch.tensor(loaded.preprocessing.std)
    plain = fill_values(image, FILL, mean, std)
    settings = OcclusionSettings(WINDOW, STRIDE, fill_value=plain, batch_size=36)
    found = occlusion_map(loaded.program, image, item.label, settings)
    top, left, bottom, right = found.box(*found.lowest)
    return bool(item.mask[(top + bottom) // 2, (left + right) // 2])


@pytest.mark.parametrize("preset", COMPACT)
def test_the_lowest_position_lies_on_the_object(preset):
    loaded = catalog.load(catalog.find(preset), catalog.weights_source(preset, "shipped"), "cpu")
    hits = sum(lowest_lies_on_the_object(loaded, item) for item in items())
    assert hits >= 0.9 * ITEMS, f"{hits} of {ITEMS}"
