"""First-layer filters: dead ones, aliased ones, and 11×11 with stride 4 against 7×7 with stride 2."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from explorer.analysis.first_layer import BANDS, FirstLayer, beyond_nyquist, first_layer, spectra
from explorer.analysis.mean import Mean
from explorer.errors import UserError
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.training.unseen import unseen_items


def grating(frequency: float, size: int = 64, axis: int = 1) -> torch.Tensor:
    """A wave of so many cycles a pixel along one axis, [1, 1, size, size]."""
    wave = torch.cos(2 * torch.pi * frequency * torch.arange(size).double())
    return (wave if axis else wave[:, None]).expand(1, 1, size, size)


def test_the_spectrum_is_the_answer_to_waves() -> None:
    weights = torch.randn(3, 2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights -= weights.mean((2, 3), keepdim=True)
    found = spectra(weights.numpy())
    rows, columns = torch.arange(5)[:, None], torch.arange(7)[None, :]
    for down, across in [(0, 3), (9, 0), (20, 31), (50, 12)]:
        phase = 2 * torch.pi * (down * rows + across * columns) / 64
        answers = [(weights * wave(phase)).sum((2, 3)) for wave in (torch.cos, torch.sin)]
        energy = sum(answer.square().sum(1) for answer in answers)
        assert found[:, down, across] == pytest.approx(np.asarray(energy))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("frequency", "stride", "share"), [
    (0.0625, 2, 0.0), (0.375, 2, 1.0), (0.1875, 2, 0.0), (0.1875, 4, 1.0), (0.4375, 1, 0.0), (0.0625, 4, 0.0),
])  # fmt: skip
def test_a_wave_aliases_where_it_is_shorter_than_two_strides(
    frequency: float, stride: int, share: float, axis: int
) -> None:
    (found,) = beyond_nyquist(spectra(grating(frequency, axis=axis).numpy()), (stride, stride))
    assert found == pytest.approx(share, abs=1e-9)


def test_an_even_filter_aliases_at_no_stride() -> None:
    assert beyond_nyquist(spectra(np.ones((1, 3, 7, 7))), (4, 4)).tolist() == [0.0]


def test_filters_that_never_answer_are_dead() -> None:
    convolution, norm = nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4)
    module = nn.Sequential(convolution, norm, nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()
    with torch.no_grad():
        convolution.weight[1], norm.bias[1] = 0, -1.0  # below the rectifier for every image
        norm.weight[3], norm.bias[3] = 1e-4, 0.0  # answers, but hardly
    images = torch.randn(6, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    found = first_layer(trace(module, (3, 20, 20)), images)
    assert (found.layer, found.activation) == ("0", "2")
    assert found.strongest == pytest.approx(module[:3](images).amax((0, 2, 3)).detach().numpy(), abs=1e-5)
    assert found.is_dead.tolist() == [False, True, False, True]


def test_a_network_whose_first_convolution_does_not_read_the_image_is_refused() -> None:
    module = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 4, 3))
    with pytest.raises(UserError, match="No convolution of this network reads the image itself"):
        first_layer(trace(module, (3, 16, 16)), torch.rand(1, 3, 16, 16))


def trained(name: str, images: torch.Tensor) -> FirstLayer:
    return first_layer(catalog.load(catalog.find(name), catalog.weights_source(name)).program, images)


def test_alexnets_filters_alias_more_and_leave_out_the_middle_frequencies() -> None:
    """Figure 6 of the paper, on the networks that are shipped."""
    images = unseen_items(20, 64).images
    alexnet, zfnet = (trained(name, images) for name in ("alexnet_mini", "zfnet_mini"))
    assert (alexnet.size, alexnet.stride, zfnet.size, zfnet.stride) == ((11, 11), (4, 4), (7, 7), (2, 2))
    large, small = Mean.of(alexnet.beyond), Mean.of(zfnet.beyond)
    assert large.error is not None
    assert small.error is not None
    assert large.mean - small.mean > 2 * float(np.hypot(large.error, small.error))
    middle = alexnet.bands[:, BANDS // 2], zfnet.bands[:, BANDS // 2]
    assert middle[0].mean() < middle[1].mean()
    assert alexnet.bands.sum(1) == pytest.approx(1)
