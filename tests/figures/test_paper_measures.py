"""Evolution, invariance, transfer and first-layer filters as figures: they show what was found, in its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explorer.analysis.deconvnet import Projection
from explorer.analysis.equivariance import Equivariance
from explorer.analysis.evolution import Evolution, GrownUnit
from explorer.analysis.invariance import Invariance
from explorer.analysis.mean import Mean
from explorer.analysis.probes import LayerProbe
from explorer.figures import evolution, invariance, probes
from explorer.figures.rows import chart_rows

FOUND = Evolution((1, 5), ("a", "b"), np.array([[0.5, 0.2], [1.0, 1.0]]), {})
MOVED = Invariance(
    "scale", (1.0, 1.5), ("a",), (0, 1), np.array([[[0.0, 0.0], [0.4, 0.6]]]), np.array([[0.9, 0.7], [0.5, 0.5]])
)


def unit(epoch: int, channel: int, image: int) -> GrownUnit:
    return GrownUnit(epoch, channel, image, Projection(torch.ones(3, 8, 8), "a", channel, (0, 0), 1.0, ()))


def test_units_stand_in_the_row_of_their_channel_and_the_column_of_their_epoch() -> None:
    units = [unit(1, 7, 0), unit(5, 7, 1), unit(5, 2, 2)]  # nothing excites channel 2 after epoch 1
    levels = [40, 90, 200]
    pictures = evolution.grown_pictures(units, lambda image: np.full((8, 8, 3), levels[image]), lambda _: (2, 2, 6, 6))
    shown = [picture for _, picture in pictures]
    side = shown[0].shape[0]
    assert side >= evolution.GROWN_PX
    sheet = evolution.growth_sheet(FOUND, (7, 2), units, shown)
    centres = [[int(sheet[4 + side // 2 + r * (side + 4), 4 + side // 2 + c * (side + 4), 0]) for c in (0, 1)]
               for r in (0, 1)]  # fmt: skip
    assert centres == [[40, 90], [128, 200]]


def test_a_smaller_part_of_the_picture_stands_in_the_middle_of_gray() -> None:
    boxes = {0: (0, 0, 4, 4), 1: (0, 0, 8, 8)}
    (_, small), (_, large) = evolution.grown_pictures(
        [unit(1, 0, 0), unit(1, 1, 1)], lambda _: np.zeros((8, 8, 3), np.uint8), lambda one: boxes[one.image]
    )
    assert small.shape == large.shape
    assert (large == 0).all()
    assert (small == 0).mean() == pytest.approx(1 / 4)
    assert small[0, 0].tolist() == [128, 128, 128]


def test_charts_leave_as_what_was_found() -> None:
    similar = chart_rows(evolution.similarity_chart(FOUND, 5))
    assert [list(row.values())[-1] for row in similar] == [0.5, 1.0, 0.2, 1.0]
    names = "scale, ×", "distance / length of the features", "standard error"
    distances = [[row[name] for name in names] for row in chart_rows(invariance.distance_chart(MOVED))]
    assert distances == [[1.0, 0.0, 0.0], [1.5, 0.5, pytest.approx(0.1)]]
    answers = chart_rows(invariance.probability_chart(MOVED))
    assert [row["probability of the class"] for row in answers] == pytest.approx([0.8, 0.5])
    right = chart_rows(probes.probe_chart({"net": [LayerProbe("a", 4, Mean(0.25, 0.05, 75))]}))
    assert set(right[0].values()) == {"1 · a", 0.25, 0.05}


def test_words() -> None:
    assert invariance.amount_words("vertical", 4.0) == "+4 px"
    assert invariance.amount_words("horizontal", -3.0) == "-3 px"
    assert invariance.amount_words("vertical", 0.0) == "0 px"
    assert invariance.amount_words("scale", 1.3) == "×1.3"
    assert invariance.amount_words("rotation", 45.0) == "45°"
    exact = Equivariance("a", (4, 4), (4, 4), (1, 1), 9, 2e-7, 1.0)
    assert invariance.equivariance_words(exact) == "the same, moved"
    assert invariance.equivariance_words(Equivariance("a", (4, 4), (5, 5), (1, 1), 9, 0.57, 1.0)) == "differ by 57 %"
    assert evolution.settled_sentence(FOUND).startswith("The first layer's features are those of the end to 90 % from")


def test_long_names_of_layers_are_cut_at_the_axis_alone() -> None:
    long = "encoder.layers.encoder_layer_0.add_1"
    figure = probes.probe_chart({"net": [LayerProbe(name, 4, Mean(0.25, 0.05, 75)) for name in ("features.3", long)]})
    assert figure.to_plotly_json()["layout"]["xaxis"]["ticktext"] == ["1 · features.3", "2 · …r_layer_0.add_1"]
    assert [row["layer"] for row in chart_rows(figure)] == ["1 · features.3", f"2 · {long}"]
