"""Table 1 of Zeiler and Fergus (2014) on the shipped network: hidden parts change features alike, places less so."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from explorer.analysis.correspondence import PartChange, over_parts
from explorer.errors import Cancelled, UserError
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from explorer.training.correspondence import CorrespondenceSettings, part_changes

LAST_MAPS = "features.17"  # the paper's layer 5


@pytest.fixture(scope="module")
def network() -> LoadedNetwork:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"), "cpu")


def _changes(
    network: LoadedNetwork, layers: list[str], settings: CorrespondenceSettings, **how: Any
) -> list[PartChange]:
    return part_changes(network.program, network.preprocessing, layers, settings, **how)


@pytest.mark.parametrize("pooled", [False, True])
def test_the_same_part_changes_features_more_alike_than_random_places(network: LoadedNetwork, pooled: bool) -> None:
    settings = CorrespondenceSettings(("cat", "face"), groups=3, pooled=pooled)
    (found,) = over_parts(_changes(network, [LAST_MAPS], settings))
    assert found.difference.error is not None
    assert found.difference.mean + 2 * found.difference.error < 0
    assert found.same.mean < found.random.mean
    assert found.difference.items == 8 + 6


def test_the_same_seed_gives_the_same_places_and_another_seed_others(network: LoadedNetwork) -> None:
    first, again, other = (
        _changes(network, [LAST_MAPS], CorrespondenceSettings(("clock",), groups=1, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert [each.same for each in first] == [each.same for each in other]
    assert [each.random for each in first] != [each.random for each in other]


def test_progress_is_told_by_part_and_a_cancel_ends_it(network: LoadedNetwork) -> None:
    told = list[tuple[int, int]]()
    settings = CorrespondenceSettings(("tree",), groups=1)
    _changes(network, [LAST_MAPS], settings, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        _changes(network, [LAST_MAPS], settings, cancel=lambda: True)


def test_a_network_needs_no_weights_and_at_least_one_layer(network: LoadedNetwork) -> None:
    program, settings = trace(nn.Sequential(nn.MaxPool2d(2)), (3, 64, 64)), CorrespondenceSettings(("clock",), groups=1)
    assert [each.layer for each in part_changes(program, network.preprocessing, ["0"], settings)] == ["0"] * 6
    with pytest.raises(UserError, match="No layer of this network stands between"):
        _changes(network, [], settings)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(UserError, match="'dog' is not a class of the picture set: bird"):
        CorrespondenceSettings(("dog",))
    with pytest.raises(UserError, match="groups=0"):
        CorrespondenceSettings(groups=0)
