"""Figures show the analysis and nothing else: sums, positions, boxes; depth as the papers count it."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

import models
from explorer import analyze
from explorer.analysis.depth import depth, depths
from explorer.analysis.structure import Analysis
from explorer.figures import layers, overlay


def analysis(preset: str) -> Analysis:
    spec = models.preset(preset).spec
    return analyze(models.build(preset, device="meta"), (spec.in_channels, spec.image_size, spec.image_size))


def traces(figure: go.Figure) -> Any:
    return figure.data


@pytest.fixture(scope="module")
def resnet() -> Analysis:
    return analysis("resnet18")


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("vit_ti_16", ["14 × 14", "tokens", "head"]),
        ("convnext_mini", ["32 × 32", "16 × 16", "8 × 8", "4 × 4", "head"]),  # its blocks work on [N, H, W, C]
    ],
)
def test_only_what_has_no_positions_is_the_head(preset: str, names: list[str]) -> None:
    found = layers.stages(analysis(preset).layers)
    assert [stage.name for stage in found] == names
    assert found[-1].macs < 0.01 * sum(stage.macs for stage in found)


@pytest.mark.parametrize(
    ("preset", "layers_with_weights"),
    [
        ("lenet5", 5), ("alexnet", 8), ("vgg16", 16), ("googlenet", 22), ("resnet18", 18), ("resnet50", 50),
        ("densenet121", 121), ("inception_v3", 48), ("se_resnet50", 50), ("gc_resnet50", 50),
    ],
)  # fmt: skip
def test_depth_is_the_number_in_the_papers_whatever_gates_weigh_the_maps(preset: str, layers_with_weights: int) -> None:
    assert depth(analysis(preset).graph) == layers_with_weights


def test_depth_of_a_shortcut_is_that_of_its_branch(resnet: Analysis) -> None:
    at = depths(resnet.graph)
    assert at["layer2.0.downsample.0"] == at["layer2.0.conv1"] == at["layer2.0.conv2"] - 1
    assert at["input"] == 0


def test_stages_sum_to_the_network_and_are_named_by_their_maps(resnet: Analysis) -> None:
    found = layers.stages(resnet.layers)
    assert [stage.name for stage in found] == ["112 × 112", "56 × 56", "28 × 28", "14 × 14", "7 × 7", "head"]
    assert sum(stage.params for stage in found) == resnet.params
    assert sum(stage.macs for stage in found) == resnet.macs
    assert found[-1].params == 512 * 1000 + 1000


def test_growth_has_a_point_per_layer_with_positions(resnet: Analysis) -> None:
    figure = layers.growth(resnet, selected="layer3.0.conv1")
    local, strict, chosen = traces(figure)
    assert strict.y[-1] == resnet.receptive_field.size[0] == 435
    assert strict.x[-1] == 17
    assert len(strict.x) == len(strict.y)
    assert not local.visible  # the two fields are the same without gates
    field = resnet["layer3.0.conv1"].receptive_field
    assert list(chosen.y) == [field.size[0]]
    assert list(chosen.x) == [depths(resnet.graph)["layer3.0.conv1"]]
    assert "avgpool" not in {point[0] for point in strict.customdata}


def test_costs_draw_what_the_stages_hold(resnet: Analysis) -> None:
    params, macs = traces(layers.costs(resnet))
    found = layers.stages(resnet.layers)[::-1]
    assert list(params.x) == [stage.params for stage in found]
    assert list(macs.x) == [stage.macs for stage in found]
    assert list(params.y) == [stage.name for stage in found]
    assert params.text[0] == "513.0 k"


def test_a_box_keeps_what_it_holds_and_dims_the_rest() -> None:
    pixels = np.full((64, 64, 3), 200, np.uint8)
    shown = overlay.boxed(pixels, (16, 8, 32, 40), side_px=256)
    assert shown.shape == (256, 256, 3)
    assert (shown[80:110, 50:150] == 200).all()
    assert (shown[140:, :] < 150).all()
    assert (shown[:, 170:] < 150).all()
    assert tuple(shown[64, 100]) == (0, 0, 0)


def test_an_empty_box_dims_all() -> None:
    assert (overlay.boxed(np.full((8, 8, 3), 200, np.uint8), (4, 4, 4, 4), side_px=16) < 150).all()
