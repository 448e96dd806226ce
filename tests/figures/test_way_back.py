"""Projections as pictures, and the steps back in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import models
from explorer.analysis.deconvnet import Projection
from explorer.analysis.deconvnet_rules import BackwardMethod, BackwardSettings
from explorer.analysis.way_back import WayStep
from explorer.figures import way_back as figures
from explorer.graph.layers import LayerGraph
from explorer.graph.trace import trace


def projection(signal: list[list[list[float]]], activation: float) -> Projection:
    return Projection(torch.tensor(signal), "layer", 0, (0, 0), activation)


def test_nothing_is_gray_and_the_sign_is_that_of_activation_times_signal() -> None:
    signal = [[[0.0, 2.0, -1.0]]]
    assert figures.pixels(projection(signal, 3.0))[0, :, 0].tolist() == [128, 255, 64]
    assert figures.pixels(projection(signal, -3.0))[0, :, 0].tolist() == [128, 0, 191]
    assert figures.pixels(projection(signal, 0.0))[0, :, 0].tolist() == [128, 255, 64], "the signal alone"


def test_three_channels_are_red_green_and_blue() -> None:
    assert figures.pixels(projection([[[1.0]], [[0.0]], [[-1.0]]], 1.0)).tolist() == [[[255, 128, 0]]]


def test_a_single_loud_place_does_not_wash_out_the_others() -> None:
    found = figures.pixels(projection([[[1000.0, *[1.0] * 300, 0.0]]], 1.0))[0, :, 0]
    assert set(found[:-1].tolist()) == {255}
    assert found[-1] == 128


def test_nothing_that_comes_back_is_gray() -> None:
    assert set(figures.pixels(projection([[[0.0, 0.0]]], 1.0)).ravel().tolist()) == {128}


def test_a_crop_is_the_box() -> None:
    picture = np.arange(12).reshape(3, 4)
    assert figures.cropped(picture, (1, 1, 3, 3)).tolist() == [[5, 6], [9, 10]]


@pytest.fixture(scope="module")
def graph() -> LayerGraph:
    return trace(models.build("zfnet_mini").eval(), (3, 64, 64)).graph


def step(layer: str, *through: str) -> WayStep:
    return WayStep(layer, through, np.zeros((1, 1)), 1, 0)


@pytest.mark.parametrize(
    ("through", "method", "says"),
    [
        ("features.8", "deconvnet", "Through features.8 (conv 3×3), **filter** with the transposed kernels."),
        ("features.3", "deconvnet", "Through features.3 (max pool 3×3 /2), **unpool**: each value goes to its switch"),
        ("features.2", "deconvnet", "Through features.2 (relu), **rectify**: the positive part of the signal, what"),
        ("features.2", "guided", "Through features.2 (relu), **rectify and mask**: the positive part of the signal t"),
        ("features.2", "gradient", "Through features.2 (relu), **derive**: the signal times the derivative."),
    ],
)
def test_a_step_says_what_is_done(graph: LayerGraph, through: str, method: BackwardMethod, says: str) -> None:
    assert figures.explained(step("input", through), graph, BackwardSettings(method)).startswith(says)


def test_the_first_step_starts_and_several_ways_are_added(graph: LayerGraph) -> None:
    settings = BackwardSettings()
    assert "**starts** with 1" in figures.explained(step("features.2"), graph, settings)
    both = figures.explained(step("input", "features.2", "features.3"), graph, settings)
    assert both.count("hrough ") == 2
    assert both.endswith("; what the readers of this output send back is added.")


def test_a_changed_rule_is_said(graph: LayerGraph) -> None:
    settings = BackwardSettings("deconvnet", {"batch_norm": "pass"})
    norm = next(layer for layer in graph if layer.kind == "batch_norm")
    assert figures.done(norm, settings) == "**pass on**: the signal as it is"
    assert figures.done(norm, BackwardSettings()) == "**scale** each channel by the norm's factor"
