"""The scans that come with the program are those of its trained networks over the unseen pictures."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from explorer.analysis.activations import feature_maps
from explorer.atlas.picture_sets import UnseenPictures
from explorer.atlas.shipped import SHIPPED_SCANS, is_shipped, shipped
from explorer.errors import UserError
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from explorer.receptive_field.map_layout import arrangements
from explorer.run.digest import weights_digest


@cache
def loaded(name: str) -> LoadedNetwork:
    return catalog.load(catalog.find(name), catalog.weights_source(name), "cpu")


@pytest.mark.parametrize("name", SHIPPED_SCANS)
def test_it_is_a_whole_scan_of_the_weights_and_the_pictures_of_today(name: str) -> None:
    found, network = shipped(name), loaded(name)
    assert found.subject.weights == weights_digest(network.module)
    assert found.subject.pictures_digest == UnseenPictures().digest
    assert found.is_complete
    assert (found.seen, found.broken_count) == (2_000, 0)
    graph = network.program.graph
    assert set(found.top) == {layer for layer in arrangements(graph) if graph[layer].kind != "input"}


@pytest.mark.parametrize("name", SHIPPED_SCANS)
def test_some_of_its_values_are_where_it_says(name: str) -> None:
    """A picture of each of four layers, drawn anew and run alone."""
    network, pictures, random = loaded(name), UnseenPictures(), np.random.default_rng(0)
    for layer in random.choice(list(shipped(name).top), 4, replace=False).tolist():
        top = shipped(name).of(layer)
        picture = int(random.choice(top.pictures[top.pictures >= 0]))
        maps = feature_maps(network.program, network.input(pictures.pixels(picture)), layer).numpy()
        channels, ranks = np.nonzero(top.pictures == picture)
        told = top.values[channels, ranks]
        there = maps[channels, top.rows[channels, ranks], top.columns[channels, ranks]]
        np.testing.assert_allclose(there, told, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(maps[channels].max((1, 2)), told, rtol=1e-3, atol=1e-4)
        is_left_out = (top.pictures != picture).all(1)
        assert (maps.max((1, 2)) <= top.values[:, -1] + 1e-3)[is_left_out].all(), "where it is none of the nine"


def test_a_network_without_one_is_named() -> None:
    assert not is_shipped("vgg_mini")
    with pytest.raises(UserError, match=r"No scan of vgg_mini comes with the program; zfnet_mini, .+ have one\."):
        shipped("vgg_mini")
