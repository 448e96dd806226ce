"""A network that reads blue, green, red: the same network with its first filters turned draws the same pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer.analysis.deconvnet import project
from explorer.analysis.filters import filters_of
from explorer.analysis.optimised_image import optimise_units
from explorer.atlas.optimisation import optimisation_settings, optimised_pixels
from explorer.atlas.patches import patches_and_projections
from explorer.atlas.picture_sets import UnseenPictures
from explorer.atlas.shipped import shipped
from explorer.figures.filters import filter_pictures
from explorer.figures.way_back import in_picture_colours
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork

LAYER, CHANNEL = "features.6", 5


def zfnet() -> LoadedNetwork:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"), "cpu")


@pytest.fixture(scope="module")
def both() -> tuple[LoadedNetwork, LoadedNetwork]:
    usual, other = zfnet(), zfnet()
    first = next(other.module.parameters())
    with torch.no_grad():
        first.copy_(first.flip(1))
    mean, std = usual.preprocessing.mean[::-1], usual.preprocessing.std[::-1]
    prepared = replace(usual.preprocessing, mean=mean, std=std, order="BGR")
    program = trace(other.module, (3, 64, 64))
    return usual, replace(other, program=program, preprocessing=prepared)


def test_projections_have_the_colours_of_the_picture(both: tuple[LoadedNetwork, LoadedNetwork]) -> None:
    top, found = shipped("zfnet_mini").of(LAYER), list[np.ndarray]()
    for network in both:
        ((_, (patch,)),) = patches_and_projections(network, UnseenPictures(), top, LAYER, [CHANNEL], count=1)
        assert patch.projection is not None
        found.append(patch.projection)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-5)
    assert np.abs(found[0] - found[0][..., ::-1]).max() > 0.01, "it is not gray"


def test_a_projection_of_figure_7_has_them_too(both: tuple[LoadedNetwork, LoadedNetwork]) -> None:
    signals = []
    for network in both:
        back = project(network.program, network.input(UnseenPictures().pixels(3)), LAYER, CHANNEL)
        signals.append(in_picture_colours(back, network.preprocessing).signal)
    torch.testing.assert_close(signals[1], signals[0], rtol=1e-3, atol=1e-5)


def test_an_optimised_image_has_the_same_colours(both: tuple[LoadedNetwork, LoadedNetwork]) -> None:
    found = []
    for network in both:
        settings = optimisation_settings(network.preprocessing, steps=16)
        (image,) = optimise_units(network.program, LAYER, [(CHANNEL, None)], settings)
        found.append(optimised_pixels(image, network.preprocessing).astype(int))
    assert np.abs(found[1] - found[0]).max() <= 2
    assert np.abs(found[0] - found[0][..., ::-1]).max() > 20


def test_filters_of_the_first_layer_have_the_colours_of_the_picture(both: tuple[LoadedNetwork, LoadedNetwork]) -> None:
    pictures = []
    for loaded in both:
        found = filters_of(loaded.program, "features.0")
        assert found is not None
        drawn, _ = filter_pictures(found, range(24), order=loaded.preprocessing.order)
        pictures.append(np.stack(drawn))
    assert np.array_equal(*pictures)
