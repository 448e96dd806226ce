"""What one occlusion run gives: the sums of all maps of a layer; and a stopped run that goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explorer.analysis.occluder import occlude
from explorer.analysis.occlusion import OcclusionSettings, occlusion_map, occlusion_steps
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram, trace


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2), nn.BatchNorm2d(5), nn.ReLU(inplace=True),
        nn.Conv2d(5, 6, 2), nn.Sigmoid(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 7),
    ).eval()  # fmt: skip


def small(size: tuple[int, int] = (20, 24)) -> tuple[TracedProgram, Tensor]:
    return trace(convolutional(), (3, *size)), torch.randn(1, 3, *size)


@pytest.mark.parametrize("method", ["full", "incremental"])
def test_the_sums_of_all_maps_come_from_one_run(method: Any) -> None:
    module, image = convolutional(), torch.randn(3, 40, 44)
    found = occlusion_map(trace(module, (3, 40, 44)), image, settings=OcclusionSettings(5, 9, layer="3", method=method))
    with torch.no_grad():
        expected = module[:4](occlude(image, found.box(2, 3))[None])[0].sum((1, 2))
        clean = module[:4](image[None])[0].sum((1, 2))
    for channel in range(6):
        values, baseline = found.activation_of(channel)
        assert values[2, 3] == pytest.approx(expected[channel].item(), rel=1e-4, abs=1e-4)
        assert baseline == pytest.approx(clean[channel].item(), rel=1e-4, abs=1e-4)
    assert found.channel is not None
    assert found.activation is not None
    np.testing.assert_allclose(found.activation_of(found.channel)[0], found.activation, rtol=1e-5)
    with pytest.raises(UserError, match="channel=6 is not a map: they go from 0 to 5"):
        found.activation_of(6)


def test_a_map_is_of_a_layer() -> None:
    program, image = small()
    with pytest.raises(UserError, match="channel=0 is asked for, and no layer"):
        occlusion_map(program, image, settings=OcclusionSettings(8, 8)).activation_of(0)


@pytest.mark.parametrize("method", ["full", "incremental"])
def test_a_stopped_run_goes_on_where_it_stopped(method: Any) -> None:
    program, image = small((40, 44))
    asked = OcclusionSettings(5, 4, layer="3", method=method, batch_size=7)
    whole = occlusion_map(program, image, settings=asked)
    steps = occlusion_steps(program, image, settings=asked)
    stopped = [next(steps) for _ in range(4)][-1]
    done = stopped.done.copy()
    stopped.probability[done] = 2  # so that it shows what is taken over
    counts: list[int] = []
    found = whole
    for found in occlusion_steps(program, image, settings=asked, partial=stopped):
        counts.append(int(found.done.sum()))
    assert counts[0] == done.sum() > 0
    assert found.done.all()
    assert (found.probability[done] == 2).all()
    np.testing.assert_allclose(found.probability[~done], whole.probability[~done], rtol=1e-5)
    np.testing.assert_allclose(found.activations, whole.activations, rtol=1e-3, atol=1e-3)  # type: ignore[arg-type]
    assert [int(each.done.sum()) for each in occlusion_steps(program, image, settings=asked, partial=whole)] == [
        whole.done.size
    ]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"window": 6}, "other squares"),
        ({"layer": "0"}, r"channel=\d+, where this run is of"),
        ({"output": "logits"}, "output=logits, where this run is of softmax"),
    ],
)
def test_what_goes_on_is_of_the_same_kind(other: dict[str, Any], says: str) -> None:
    program, image = small()
    settings = {"window": 5, "stride": 4, "layer": "3"}
    partial = next(occlusion_steps(program, image, settings=OcclusionSettings(**{**settings, **other})))
    with pytest.raises(UserError, match=f"the partial map is of {says}"):
        occlusion_steps(program, image, settings=OcclusionSettings(**settings), partial=partial)
