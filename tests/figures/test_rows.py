"""The rows of charts as CSV: every point once, its numbers unrounded, units in the headings."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

import explorer
import models
from explorer.figures import comparison, layers
from explorer.figures.blocks import Bar, relative
from explorer.figures.confusion import confusion_figure
from explorer.figures.maps import vector
from explorer.figures.rows import chart_rows, csv_text


def read_back(figure: go.Figure) -> Any:
    """What pandas finds in the file of a chart."""
    return pd.read_csv(io.StringIO(csv_text(chart_rows(figure))))


def test_costs_hold_the_sums_that_the_analysis_has() -> None:
    analysis = explorer.analyze(models.build("resnet_mini", device="meta"), (3, 64, 64))
    found = read_back(layers.costs(analysis))
    assert list(found.columns) == ["Layers", "Parameters", "Size of the maps", "MACs"]
    assert found["Parameters"].sum() == analysis.params
    assert found["MACs"].sum() == analysis.macs


def test_growth_has_a_row_for_each_layer_with_its_name() -> None:
    analysis = explorer.analyze(models.build("vgg_mini", device="meta"), (3, 64, 64))
    found = read_back(layers.growth(analysis, analysis.layers[3].id))
    assert set(found["Layer"]) == {layer.id for layer in analysis.layers if layers.has_positions(layer)}
    for name, height in zip(found["Layer"], found["Receptive field (px)"], strict=True):
        assert height == analysis[name].receptive_field.size[0]


def test_networks_beside_each_other_stay_apart() -> None:
    both = {name: explorer.analyze(models.build(name, device="meta"), (3, 64, 64)) for name in ("vgg_mini", "nin_mini")}
    found = read_back(comparison.costs_over(both))
    assert found.groupby("Series")["MACs"].sum().to_dict() == {name: one.macs for name, one in both.items()}


def test_ratios_come_with_the_value_and_its_unit() -> None:
    figure = relative({"A & B": [Bar(2e-3, "2 ms", unit="s")], "<b>": [Bar(3e-3, "3 ms", unit="s")]}, ["Latency"])
    found = read_back(figure)
    assert found["Over the first"].tolist() == pytest.approx([1, 1.5])
    assert found[["Series", "Value", "Unit"]].to_numpy().tolist() == [["A & B", 2e-3, "s"], ["<b>", 3e-3, "s"]]


def test_names_from_outside_come_as_they_are() -> None:
    names = ["<b>bold</b>, with a comma", 'a "quoted" & one\nwith two lines']
    counts = np.array([[5, 1], [0, 7]])
    found = read_back(confusion_figure(names, counts))
    assert found["class"].tolist() == [names[0], names[0], names[1], names[1]]
    assert found["answer"].tolist() == names * 2
    assert found["Pictures"].tolist() == [5, 1, 0, 7]
    assert read_back(vector(np.array([0.1, 0.2]), names))["Class"].tolist() == names


def test_what_only_marks_a_point_is_no_row() -> None:
    values = np.linspace(0, 1, 600)
    found = read_back(vector(values, chosen=7))
    assert len(found) == 600
    np.testing.assert_array_equal(found["Activation"], values)
