"""The projective field: against the boxes of all units, and against gradients of real networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import models
from explorer.analysis.projective_field import projective_field
from explorer.analysis.structure import analyze
from explorer.errors import UserError
from tests.support.preset_sizes import input_size


@pytest.mark.parametrize("name", ["lenet_mini", "resnet_mini", "densenet_mini", "googlenet_mini", "mobilenet_v2_mini"])
@pytest.mark.parametrize("pixel", [(0, 0), (23, 40)])
def test_a_pixel_reaches_the_units_in_whose_box_it_is(name: str, pixel: tuple[int, int]) -> None:
    """Where windows have no gaps, a unit sees all of its box."""
    analysis = analyze(models.build(name, device="meta").eval(), input_size(name, 48, 56))
    found = projective_field(analysis, pixel)
    maps = [layer for layer in analysis.layers if layer.is_map and layer.kind != "input"]
    assert set(found) == {layer.id for layer in maps}
    for layer in maps:
        rows, columns = layer.output_shape[2:]
        boxes = layer.receptive_field.every_box((rows, columns))
        inside = (boxes[0] <= pixel[0]) & (boxes[1] <= pixel[1]) & (boxes[2] > pixel[0]) & (boxes[3] > pixel[1])
        # A stride larger than its window passes over pixels that lie between what it reads.
        assert (found[layer.id] <= inside).all()
        if not any(other.kind == "conv" and _leaves_gaps(analysis.graph[other.id].window) for other in analysis.layers):
            assert (found[layer.id] == inside).all(), layer.id


def _leaves_gaps(window: object) -> bool:
    stride, kernel = getattr(window, "stride", (1, 1)), getattr(window, "kernel", (1, 1))
    return any(s > k for s, k in zip(stride, kernel, strict=True))


DILATED = nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2), nn.Tanh(), nn.Conv2d(4, 3, 3, stride=2, padding=1))


@pytest.mark.parametrize("source", [(6, 5), (0, 0)])
def test_gaps_of_dilated_windows_are_left_out_as_gradients_say(source: tuple[int, int]) -> None:
    network = DILATED.double().eval()
    analysis = analyze(network, (2, 13, 15))
    image = torch.randn(1, 2, 13, 15, dtype=torch.float64, requires_grad=True)
    maps = network(image)[0]
    expected = np.zeros(maps.shape[1:], bool)
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            (gradient,) = torch.autograd.grad(maps[:, row, column].sum(), image, retain_graph=True)
            expected[row, column] = bool((gradient[0, :, source[0], source[1]] != 0).any())
    found = projective_field(analysis, source)["2"]
    assert (found == expected).all()


def test_a_pixel_in_a_gap_of_a_box_does_not_reach_its_unit() -> None:
    analysis = analyze(nn.Conv2d(1, 1, 3, dilation=2), (1, 9, 9))
    last = analysis.layers[-1]
    assert last.receptive_field.box(2, 2) == (2, 2, 7, 7)
    assert projective_field(analysis, (2, 4))[last.id][2, 2]
    assert not projective_field(analysis, (2, 3))[last.id][2, 2]


def test_a_unit_of_a_layer_reaches_what_its_gradient_reaches() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 3, 2, groups=1), nn.AvgPool2d(2, 1)).double().eval()
    analysis = analyze(network, (1, 14, 14))
    inner = network[0](torch.randn(1, 1, 14, 14, dtype=torch.float64)).detach().requires_grad_()
    maps = network[2](network[1](inner))[0]
    found = projective_field(analysis, (5, 4), "0")
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            (gradient,) = torch.autograd.grad(maps[:, row, column].sum(), inner, retain_graph=True)
            assert found["2"][row, column] == bool((gradient[0, :, 5, 4] != 0).any())


def test_a_gate_carries_a_pixel_to_all_units_and_not_locally() -> None:
    analysis = analyze(models.build("senet_mini", device="meta").eval(), (3, 64, 64))
    last = [layer for layer in analysis.layers if layer.is_map and layer.kind == "conv"][-1]
    rows, columns = last.output_shape[2:]
    strict, local = (projective_field(analysis, (2, 2), local=local)[last.id] for local in (False, True))
    boxes = last.local_receptive_field.every_box((rows, columns))
    assert strict.all()
    assert not local.all()
    assert (local <= ((boxes[0] <= 2) & (boxes[1] <= 2))).all()


@pytest.mark.parametrize(
    ("source", "layer", "sentence"), [((13, 0), None, "row=13 of input"), ((0, 12), "0", "column=12 of 0")]
)
def test_a_position_that_is_not_there_is_named(source: tuple[int, int], layer: str | None, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        projective_field(analyze(DILATED, (2, 13, 15)), source, layer)


def test_a_layer_without_positions_is_named() -> None:
    analysis = analyze(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), (1, 8, 8))
    with pytest.raises(UserError, match="layer='1'"):
        projective_field(analysis, (0, 0), "1")
