"""Filters as pictures: exact on weights of a few numbers, and which weights are a layer's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torchvision.models import googlenet, resnet18

from explorer.analysis.filters import LayerFilters, filters_of, has_filters, strongest
from explorer.figures import filters, raster
from explorer.graph.trace import trace


def of(weights: object, groups: int = 1, reads_image: bool = False) -> LayerFilters:
    return LayerFilters(np.asarray(weights, np.float32), groups, reads_image)


def layer(module: nn.Module, name: str, size: tuple[int, int, int]) -> LayerFilters | None:
    return filters_of(trace(module.eval(), size), name)


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_filters_that_read_the_image_are_colours_around_gray() -> None:
    red = np.zeros((3, 1, 2))
    red[0, 0] = 2, -1
    pictures, how = filters.filter_pictures(of([red, red * 0], reads_image=True), [0, 1])
    assert pictures[0].tolist() == [[[255, 128, 128], [64, 128, 128]]]
    assert pictures[1].tolist() == [[[128] * 3] * 2], "a filter of zeros is gray"
    assert how == filters.IN_COLOURS


def test_filters_deeper_in_are_their_norm_over_the_inputs() -> None:
    weights = [[[[3.0, 0.0]], [[4.0, 0.0]], [[0.0, 2.5]]]]
    ((picture,), how) = filters.filter_pictures(of(weights), [0])
    assert picture.tolist() == raster.colourise(np.array([[5.0, 2.5]]), (0.0, 5.0)).tolist()
    assert how == filters.NORMS
    ((one,), how) = filters.filter_pictures(of(weights), [0], place=1)
    assert one.tolist() == [[[255] * 3, [128] * 3]]
    assert how == filters.ONE_INPUT


def test_a_depthwise_filter_is_shown_as_it_is() -> None:
    pictures, how = filters.filter_pictures(of([[[[1.0, -4.0]]], [[[0.5, 0.25]]]], groups=2), [1, 0])
    assert [picture[..., 0].tolist() for picture in pictures] == [[[255, 191]], [[159, 0]]]
    assert how == filters.ONE_INPUT


def test_what_is_not_finite_has_a_colour_of_its_own() -> None:
    image = np.zeros((3, 1, 2))
    image[1, 0, 0] = np.nan
    ((colours,), _) = filters.filter_pictures(of([image], reads_image=True), [0])
    assert colours.tolist() == [[[*raster.INVALID], [128] * 3]]
    ((norm,), _) = filters.filter_pictures(of([[[[np.inf, 1.0]], [[0.0, 0.0]]]]), [0])
    assert norm[0, 0].tolist() == [*raster.INVALID]
    assert filters.in_gray(np.array([-np.inf, 1.0])).tolist() == [[*raster.INVALID], [255] * 3]


def test_a_small_matrix_is_shown_whole_with_its_scale() -> None:
    picture, how = filters.matrix_picture(of(np.array([[0.0, 0.5], [-0.5, 0.25], [0, 0]])[:, :, None, None]))
    assert picture[..., 0].tolist() == [[128, 255], [0, 191], [128, 128]]
    assert how == "Rows are output channels, columns input channels: gray is 0, white 0.5, black −0.5."


def test_a_large_matrix_has_cells_of_several_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "LARGEST_MATRIX", 2)
    weights = np.arange(15.0).reshape(3, 5)
    picture, how = filters.matrix_picture(of(weights[:, :, None, None]))
    cells = [[np.sqrt(np.mean(weights[r : r + 2, c : c + 3] ** 2)) for c in (0, 3)] for r in (0, 2)]
    assert picture.tolist() == raster.colourise(np.array(cells), (0.0, cells[1][1])).tolist()
    assert "root mean square of 2 × 3 weights to a cell, from 0 (dark) to 13.5" in how


# -- which weights ----------------------------------------------------------------------------------------------------


def test_a_networks_first_convolution_is_in_colours_and_others_are_not() -> None:
    module = resnet18()
    first = layer(module, "conv1", (3, 64, 64))
    assert first is not None
    assert filters.is_coloured(first)
    assert np.shares_memory(first.weights, module.conv1.weight.detach().numpy()), "weights are not copied"
    assert torch.equal(torch.from_numpy(first.weights), module.conv1.weight)
    np.testing.assert_allclose(first.norms, module.conv1.weight.flatten(1).norm(dim=1).detach(), rtol=1e-5)
    deeper = layer(module, "layer1.0.conv1", (3, 64, 64))
    assert deeper is not None
    assert not filters.is_coloured(deeper)
    head = layer(module, "fc", (3, 64, 64))
    assert head is not None
    assert head.is_matrix
    assert head.weights.shape == (1000, 512, 1, 1)


def test_an_image_that_the_network_normalises_itself_is_still_the_image() -> None:
    normalised = trace(googlenet(init_weights=False, transform_input=True).eval(), (3, 224, 224))
    found = filters_of(normalised, "conv1.conv")
    assert found is not None
    assert not found.reads_image, "it takes the channels apart"

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv((x - 0.5) / 0.25)

    scaled = layer(Scaled(), "conv", (3, 8, 8))
    assert scaled is not None
    assert filters.is_coloured(scaled)


def test_transposed_and_grouped_filters_stand_by_output_channel() -> None:
    """One pixel of one input channel, through the layer, draws that channel's part of every filter."""
    module = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False))
    found = layer(module, "0", (4, 1, 1))
    assert found is not None
    assert found.weights.shape == (6, 2, 3, 3)
    for output in range(6):
        for place in range(2):
            image = torch.zeros(1, 4, 1, 1)
            image[0, found.input_channel(output, place)] = 1
            expected = module(image)[0, output].detach().numpy()
            np.testing.assert_array_equal(found.weights[output, place], expected)


def test_the_input_channels_of_a_group_are_those_that_it_reads() -> None:
    module = nn.Sequential(nn.Conv2d(6, 4, 1, groups=2, bias=False))
    found = layer(module, "0", (6, 1, 1))
    assert found is not None
    for output in range(4):
        for place in range(3):
            image = torch.zeros(1, 6, 1, 1)
            image[0, found.input_channel(output, place)] = 1
            assert float(found.weights[output, place, 0, 0]) == float(module(image)[0, output, 0, 0].detach())


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.bias = nn.Parameter(torch.rand(2, 3, 3, 3)), nn.Parameter(torch.rand(2))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.kernel, self.bias).relu()


def test_weights_of_functions_and_computed_ones_are_those_that_are_used() -> None:
    module = Functional()
    graph = trace(module.eval(), (3, 8, 8)).graph
    name = next(one.id for one in graph if one.kind == "conv")
    found = layer(module, name, (3, 8, 8))
    assert found is not None
    np.testing.assert_array_equal(found.weights, module.kernel.detach().numpy())
    normed = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 2, 3)))
    with torch.no_grad():
        normed[0].parametrizations.weight.original0.mul_(3)  # type: ignore[union-attr]
    computed = layer(normed, "0", (3, 8, 8))
    assert computed is not None
    np.testing.assert_array_equal(computed.weights, normed[0].weight.detach().numpy())  # type: ignore[union-attr]


def test_other_layers_have_no_filters() -> None:
    program = trace(nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval(), (3, 8, 8))
    assert [has_filters(one) for one in program.graph] == [False, True, False, False]
    assert filters_of(program, "1") is None


def test_the_strongest_come_first_and_those_that_are_not_finite_last() -> None:
    found = of(np.array([1.0, np.nan, 3.0, -2.0, np.inf])[:, None, None, None])
    assert strongest(found, 5) == [2, 3, 0, 1, 4]
