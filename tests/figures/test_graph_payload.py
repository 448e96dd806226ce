"""The graph's payload: its columns say what the analysis says, in few bytes, and nothing of it is markup."""

from __future__ import annotations

import json

import pytest
from torch import nn

import explorer
import models
from explorer.analysis.structure import Analysis
from explorer.analysis.unproductive import outgrown_image
from explorer.figures.graph_payload import graph_payload, operation
from tests.oracles.light_models import torchvision_model


def analysis_of(name: str) -> Analysis:
    library, _, bare = name.rpartition(":")
    return explorer.analyze(torchvision_model(bare) if library else models.build(name, device="meta"))


@pytest.mark.parametrize("name", ["resnet50", "densenet201", "torchvision:densenet201", "efficientnet_b7"])
def test_it_holds_what_the_analysis_says_in_200_kilobytes(name: str) -> None:
    analysis = analysis_of(name)
    payload = graph_payload(analysis, title=name, outgrown=outgrown_image(analysis))
    assert len(json.dumps(payload)) <= 200_000
    columns = payload["layers"]
    for i, layer_id in enumerate(columns["id"]):
        report = analysis[layer_id]
        assert columns["kinds"][columns["kind"][i]] == report.kind
        assert tuple(columns["shapes"][columns["shape"][i]]) == report.output_shape[1:]
        assert (columns["params"][i], columns["macs"][i], columns["bytes"][i]) == (
            report.params, report.macs, report.activation_bytes
        )  # fmt: skip
        field = None if report.receptive_field.is_global else report.receptive_field.size[0]
        assert columns["field"][i] == field
    assert sum(columns["params"]) == analysis.params_used
    assert sum(columns["macs"]) == analysis.macs


def test_operations_are_said_in_the_words_of_the_field() -> None:
    layers = analysis_of("mobilenet_v2").graph
    said = {operation(layer) for layer in layers if layer.kind == "conv"}
    assert said == {"conv 3×3 /2", "conv 1×1", "depthwise 3×3", "depthwise 3×3 /2"}
    grouped = explorer.analyze(nn.Sequential(nn.Conv2d(8, 8, (1, 7), groups=2, dilation=2, stride=(2, 1))), (8, 20, 20))
    assert [operation(layer) for layer in grouped.graph][1] == "conv in 2 groups 1×7 /2,1 dilated 2"


def test_marks_of_layers_and_of_what_fails() -> None:
    broken = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(8, 4, 1))
    payload = graph_payload(explorer.analyze(broken, (3, 8, 8), partial=True), marks={"0": "changed"})
    assert payload["marks"] == {"0": "changed", "1": "failed"}
    assert payload["layers"]["texts"][-1] == "Conv2d cannot run"
    assert payload["failure"].startswith("Invalid channel dimensions")


def test_what_has_outgrown_the_picture_is_told_by_numbers_of_layers() -> None:
    """3×3 convolutions see 3, 5, 7 and 9 px: on 5 px the third exceeds, and its input has seen all."""
    analysis = explorer.analyze(nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(4))), (1, 5, 5))
    payload = graph_payload(analysis, outgrown=outgrown_image(analysis))
    assert payload["outgrown"] == {"exceeding": [], "unproductive": [3, 4]}
    pooled = explorer.analyze(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(4, 1)), (1, 5, 5))
    assert graph_payload(pooled, outgrown=outgrown_image(pooled))["outgrown"] == {"exceeding": [2], "unproductive": []}
    assert graph_payload(analysis)["outgrown"] == {}
