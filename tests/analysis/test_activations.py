"""Feature maps against the module's own layers, statistics on maps whose figures are known, predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from explorer.analysis.activations import (
    channel_statistics,
    feature_maps,
    histogram,
    layers_with_maps,
    top_classes,
)
from explorer.errors import Cancelled, UnknownNameError, UserError
from explorer.graph.trace import trace

NAN, INF = float("nan"), float("inf")


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    ).eval()


def test_maps_are_those_of_the_layer() -> None:
    module, image = net(), torch.randn(1, 3, 9, 11)
    program = trace(module, (3, 9, 11))
    for k, layer in enumerate(["0", "1", "2", "3", "4"]):
        with torch.no_grad():
            expected = module[: k + 1](image)[0]
        found = feature_maps(program, image, layer)
        assert found.shape == (*expected.shape, *[1] * (3 - expected.dim()))
        torch.testing.assert_close(found.flatten(), expected.flatten())
        assert torch.equal(feature_maps(program, image[0], layer), found)


def test_channels_last_layers_are_turned() -> None:
    module, image = torchvision.models.convnext_tiny().eval(), torch.randn(1, 3, 32, 64)
    program = trace(module, (3, 32, 64))
    turned = [layer.id for layer in program.graph if layer.output_shape[-1] == 384]
    maps = feature_maps(program, image, turned[0])
    assert maps.shape == (384, 8, 16)
    seen: list[Any] = []
    handle = module.get_submodule(turned[0]).register_forward_hook(lambda _m, _a, out: seen.append(out))
    with torch.no_grad():
        module(image)
    handle.remove()
    torch.testing.assert_close(maps, seen[0][0].permute(2, 0, 1))


class Tokens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2) * 2


def test_tokens_are_laid_out_as_a_map() -> None:
    program, image = trace(Tokens(), (3, 4, 6)), torch.randn(1, 3, 4, 6)
    last = program.graph.layers[-1].id
    torch.testing.assert_close(feature_maps(program, image, last), 2 * image[0])


class Rank3(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1).cumsum(1) @ torch.ones(5, 5)


def test_layers_without_maps_are_named_and_not_offered() -> None:
    program = trace(Rank3(), (3, 5, 5))
    last = program.graph.layers[-1].id
    assert "input" in layers_with_maps(program.graph)
    assert last not in layers_with_maps(program.graph)
    with pytest.raises(UserError, match=rf"{last}.*\[1, 5, 5\]"):
        feature_maps(program, torch.randn(1, 3, 5, 5), last)


def test_an_unknown_layer_and_a_batch_are_refused_and_cancel_works() -> None:
    program, image = trace(net(), (3, 9, 9)), torch.randn(1, 3, 9, 9)
    with pytest.raises(UnknownNameError, match="'conv1'"):
        feature_maps(program, image, "conv1")
    with pytest.raises(UserError, match="one image"):
        feature_maps(program, image.expand(2, -1, -1, -1), "0")
    with pytest.raises(Cancelled):
        feature_maps(program, image, "4", cancel=lambda: True)


# -- Statistics -------------------------------------------------------------------------------------------------------

MAPS = torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 8], [NAN, 9, 9, 9], [-1, -2, -3, -4], [INF, 0, 0, 0]])


def test_figures_of_known_maps() -> None:
    found = channel_statistics(MAPS.view(6, 2, 2))
    np.testing.assert_array_equal(found.maximum, [0, 1, 8, NAN, -1, NAN])
    np.testing.assert_array_equal(found.mean, [0, 1, 2, NAN, -2.5, NAN])
    np.testing.assert_array_equal(found.positive_share, [0, 1, 0.25, 0.75, 0, 0.25])
    assert found.is_finite.tolist() == [True, True, True, False, True, False]
    assert found.is_dead.tolist() == [True, False, False, False, False, False]
    assert found.dead_share == pytest.approx(1 / 6)
    assert found.channels_for_90_percent == 3  # of 10, 8, 4, 0


def test_channels_that_are_not_finite_come_last() -> None:
    found = channel_statistics(MAPS.view(6, 2, 2))
    assert found.ranking("mean").tolist() == [2, 1, 0, 4, 3, 5]
    assert found.ranking("maximum").tolist() == [2, 1, 0, 4, 3, 5]
    assert found.ranking("positive_share").tolist() == [1, 2, 0, 4, 3, 5]


def test_sparsity_at_its_ends() -> None:
    equal, one = channel_statistics(torch.ones(16, 3, 3)), channel_statistics(torch.eye(16)[0].view(16, 1, 1))
    assert equal.hoyer_sparsity == pytest.approx(0)
    assert equal.treves_rolls == pytest.approx(1)
    assert equal.channels_for_90_percent == 15
    assert one.hoyer_sparsity == pytest.approx(1)
    assert one.treves_rolls == pytest.approx(1 / 16)
    assert one.channels_for_90_percent == 1


@pytest.mark.parametrize("value", [0.0, NAN])
def test_a_layer_with_nothing_in_it(value: float) -> None:
    found = channel_statistics(torch.full((4, 2, 2), value))
    assert np.isnan(found.hoyer_sparsity)
    assert np.isnan(found.treves_rolls)
    assert found.channels_for_90_percent == 0
    assert found.dead_share == (1 if value == 0 else 0)
    assert sorted(found.ranking()) == [0, 1, 2, 3]


@given(st.lists(st.floats(0, 100, allow_subnormal=False), min_size=2, max_size=30).filter(any))
def test_sparsity_is_between_its_ends_and_ignores_scale(values: list[float]) -> None:
    maps = torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)
    found, scaled = channel_statistics(maps), channel_statistics(3 * maps)
    assert -1e-9 <= found.hoyer_sparsity <= 1 + 1e-9
    assert 1 / len(values) - 1e-9 <= found.treves_rolls <= 1 + 1e-9
    assert scaled.hoyer_sparsity == pytest.approx(found.hoyer_sparsity, abs=1e-9)
    strongest = sorted(values)[::-1][: found.channels_for_90_percent]
    assert sum(strongest) >= 0.9 * sum(values) * (1 - 1e-9)
    assert sum(strongest[:-1]) <= 0.9 * sum(values) * (1 + 1e-9)


def test_a_histogram_counts_every_value() -> None:
    found = histogram(MAPS, bins=7)
    assert (found.counts.sum(), found.not_finite) == (22, 2)
    assert (found.edges[0], found.edges[-1], len(found.edges)) == (-4, 9, 8)
    assert histogram(torch.full((2, 2), 3.0)).counts.sum() == 4
    assert histogram(torch.tensor([NAN])).not_finite == 1


# -- Predictions ------------------------------------------------------------------------------------------------------


def test_top_classes_are_ordered_probabilities() -> None:
    logits = torch.tensor([0.0, 3.0, -INF, 1.0])
    found = top_classes(logits[None], k=3)
    assert found.is_finite
    assert [index for index, _ in found.classes] == [1, 3, 0]
    np.testing.assert_allclose([p for _, p in found.classes], logits.softmax(0)[[1, 3, 0]], rtol=1e-6)
    assert len(top_classes(logits.view(1, 4, 1, 1), k=9).classes) == 4


@pytest.mark.parametrize("bad", [NAN, INF])
def test_logits_that_are_not_finite_are_flagged(bad: float) -> None:
    found = top_classes(torch.tensor([0.0, bad, 1.0]))
    assert (found.is_finite, found.classes) == (False, ())


def test_several_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"\[2, 3\]"):
        top_classes(torch.zeros(2, 3))
