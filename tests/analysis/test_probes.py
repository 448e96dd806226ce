"""Linear classifiers on the features of layers: ridge regression, and that they get better with depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explorer.analysis.probes import linear_probes, ridge_answers
from explorer.analysis.trunk import trunk
from explorer.errors import UserError
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.training.unseen import unseen_items


def test_the_answers_are_those_of_least_squares_with_a_penalty() -> None:
    """Which is least squares with a row for each weight, that says it is 0."""
    random = np.random.default_rng(0)
    features, labels, asked = random.normal(2, 3, (40, 6)), random.integers(0, 4, 40), random.normal(2, 3, (200, 6))
    x = torch.from_numpy((features - features.mean(0)) / features.std(0))
    goals = torch.nn.functional.one_hot(torch.from_numpy(labels)).double()
    for penalty in (0.01, 3.0):
        rows = torch.cat([x, (penalty * 40) ** 0.5 * torch.eye(6, dtype=torch.float64)])
        weights = torch.linalg.lstsq(rows, torch.cat([goals - goals.mean(0), torch.zeros(6, 4)])).solution
        scores = torch.from_numpy((asked - features.mean(0)) / features.std(0)) @ weights + goals.mean(0)
        assert ridge_answers(features, labels, asked, penalty).tolist() == scores.argmax(1).tolist()


def test_a_feature_that_never_changes_says_nothing() -> None:
    features = np.array([[0.0, 7.0], [1.0, 7.0], [0.1, 7.0], [0.9, 7.0]])
    assert ridge_answers(features, np.array([0, 1, 0, 1]), np.array([[0.2, 9.0], [0.8, -9.0]])).tolist() == [0, 1]


def test_pictures_are_needed_on_both_sides() -> None:
    program = trace(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3)), (3, 8, 8))
    for items in (0, 2):
        with pytest.raises(UserError, match=rf"^train_items={items} leaves none of 2 pictures"):
            linear_probes(program, torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), items, ["0"])


def test_features_that_are_not_finite_are_refused() -> None:
    program = trace(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3)), (3, 8, 8))
    images = torch.rand(4, 3, 8, 8)
    images[1] = torch.nan
    with pytest.raises(UserError, match=r"^layer='0': its features are not finite"):
        linear_probes(program, images, torch.tensor([0, 1, 0, 1]), 2, ["0"])


def test_the_classes_are_told_better_from_higher_layers() -> None:
    """Table 7 of the paper: by more than twice the standard error up to layer 3, and from there to the last."""
    network = catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"))
    unseen = unseen_items(240, 64)
    probes = linear_probes(network.program, unseen.images, unseen.labels, 120, trunk(network.program.graph))
    means = [probe.accuracy for probe in probes]
    assert [probe.features for probe in probes] == [24, 48, 80, 80, 64, 128, 128]
    for low, high in ((0, 1), (1, 2), (2, 6)):
        error = float(np.hypot(means[low].error or 0.0, means[high].error or 0.0))
        assert means[high].mean - means[low].mean > 2 * error > 0
    assert all(high.mean >= low.mean - 2 * (low.error or 0.0) for low, high in zip(means, means[1:], strict=False))
    assert means[-1].mean > 0.95
