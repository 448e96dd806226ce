"""Figure 2 on the shipped ZFNet, in figures: edges and colours first, then parts, then objects."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from explorer.analysis.filters import filters_of
from explorer.atlas.patches import patches_and_projections
from explorer.atlas.picture_sets import UnseenPictures
from explorer.atlas.search import class_preferences, part_preferences
from explorer.atlas.shipped import shipped
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork

LAYERS = ["features.2", "features.6", "features.10", "features.13", "features.16"]
PICTURES = UnseenPictures()
SPECTRUM_PX = 32


@cache
def zfnet(weights: str) -> LoadedNetwork:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini", weights), "cpu")


def first_filters(weights: str) -> np.ndarray:
    """[24, 3, 7, 7]."""
    found = filters_of(zfnet(weights).program, "features.0")
    assert found is not None
    return found.weights.astype(np.float64)


def orientation(filters: np.ndarray) -> np.ndarray:
    """How far each filter's energy, without colour, lies along one direction of its spectrum: 0 for none, 1 for all."""
    power = np.abs(np.fft.fft2(filters.mean(1), s=(SPECTRUM_PX, SPECTRUM_PX))) ** 2
    down, across = np.fft.fftfreq(SPECTRUM_PX)[:, None], np.fft.fftfreq(SPECTRUM_PX)
    rows, both, columns = ((power * each).sum((1, 2)) for each in (down**2, down * across, across**2))
    return np.hypot(rows - columns, 2 * both) / (rows + columns)


def plain_colour(filters: np.ndarray) -> np.ndarray:
    """The share of each filter's energy that a patch of one colour, none of them gray, has."""
    means = filters.mean((2, 3))
    chroma = np.square(means - means.mean(1, keepdims=True)).sum(1) * filters[0, 0].size
    return chroma / np.square(filters).sum((1, 2, 3))


def smoothness(filters: np.ndarray) -> np.ndarray:
    """The share of each filter's energy at frequencies below half of the highest."""
    power = (np.abs(np.fft.fft2(filters, s=(SPECTRUM_PX, SPECTRUM_PX))) ** 2).sum(1)
    frequency = np.hypot(np.fft.fftfreq(SPECTRUM_PX)[:, None], np.fft.fftfreq(SPECTRUM_PX))
    return power[:, frequency < 0.25].sum(1) / power.sum((1, 2))


def test_the_first_layer_has_edges_and_colours_where_it_had_noise() -> None:
    trained, noise = first_filters("shipped"), first_filters("random")
    assert smoothness(trained).mean() > 2 * smoothness(noise).mean()
    edges, colours = orientation(trained), plain_colour(trained)
    assert (edges > orientation(noise).max()).sum() >= 6
    assert colours.max() > 4 * plain_colour(noise).max()
    assert {3, 9} <= set(np.flatnonzero(edges > 0.3)), "the edges of the README"
    assert colours[5] > 0.2, "the colour of the README"


def test_units_keep_more_to_one_class_the_deeper_they_are() -> None:
    means, errors = list[float](), list[float]()
    for layer in LAYERS:
        top = shipped("zfnet_mini").of(layer)
        shares = class_preferences(PICTURES, top).shares
        purity = np.array([max(of[channel] for of in shares.values()) for channel in range(top.channels)])
        means.append(float(purity.mean()))
        errors.append(float(purity.std(ddof=1)) / len(purity) ** 0.5)
    assert means == sorted(means)
    assert means[-1] - means[0] > 4 * np.hypot(errors[0], errors[-1])


@pytest.mark.parametrize(("channel", "part"), [(39, "wheels"), (44, "pot"), (0, "head")])
def test_a_middle_unit_of_the_readme_looks_at_a_part(channel: int, part: str) -> None:
    network, top = zfnet("shipped"), shipped("zfnet_mini").of("features.10")
    units = patches_and_projections(network, PICTURES, top, "features.10", [channel])
    found = part_preferences(PICTURES, network.preprocessing, units).shares
    shares = {name: of.get(channel, 0.0) for name, of in found.items()}
    assert max(shares, key=lambda name: shares[name]) == part
    assert shares[part] > 0.45


@pytest.mark.parametrize(("channel", "name"), [(1, "clock"), (13, "face"), (9, "boat")])
def test_a_last_unit_of_the_readme_looks_at_an_object(channel: int, name: str) -> None:
    top = shipped("zfnet_mini").of("features.16")
    assert class_preferences(PICTURES, top).shares[name][channel] == 1
