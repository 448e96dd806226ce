"""How far features change as pictures move: by hand on a small network, and as in the paper on a trained one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from explorer.analysis.invariance import Invariance, invariance
from explorer.analysis.mean import Mean
from explorer.analysis.moving import Move, moved
from explorer.analysis.trunk import trunk
from explorer.errors import UserError
from explorer.graph.trace import trace
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from explorer.training.unseen import unseen_items


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()


def test_distances_and_probabilities_are_those_of_each_picture_by_itself() -> None:
    module, images = small(), torch.randn(3, 3, 20, 20)
    found = invariance(trace(module, (3, 20, 20)), images, ["1", "4"], "rotation", (0, 40), (2, 0, 4))
    assert found.distances[:, 0] == pytest.approx(0, abs=1e-5)
    turned = moved(images, "rotation", 40)
    for number, target in enumerate((2, 0, 4)):
        before, after = (module[:2](batch[number : number + 1]).detach() for batch in (images, turned))
        assert found.distances[0, 1, number] == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)
        expected = module(turned[number : number + 1]).softmax(1)[0, target].detach()
        assert found.probability[1, number] == pytest.approx(float(expected), rel=1e-4)
    many = torch.randn(70, 3, 20, 20)  # more than one pass takes
    usual = invariance(trace(module, (3, 20, 20)), many, [], "scale", (1.0,))
    assert usual.targets == tuple(module(many).argmax(1).tolist())


@pytest.mark.parametrize(("targets", "said"), [((0,), "1 classes for 2 images"), ((0, 5), "5 is not a class: they go")])
def test_classes_that_are_none_are_refused(targets: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        invariance(trace(small(), (3, 8, 8)), torch.rand(2, 3, 8, 8), ["1"], "scale", (1.0,), targets)


# -- figure 5 of the paper --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zfnet() -> LoadedNetwork:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"))


def followed(zfnet: LoadedNetwork, move: Move, amounts: tuple[float, ...]) -> Invariance:
    """The first and the last layer, over 40 unseen pictures of 64 px."""
    unseen, every = unseen_items(40, 64), trunk(zfnet.program.graph)
    return invariance(zfnet.program, unseen.images, [every[0], every[-1]], move, amounts, unseen.labels.tolist())


def is_less(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the mean of the differences of pairs is below 0 by more than twice its standard error."""
    mean = Mean.of(one - other)
    assert mean.error is not None
    return mean.mean < -2 * mean.error


@pytest.mark.parametrize(("move", "amounts"), [
    ("vertical", (2.0, 8.0, 16.0)), ("horizontal", (2.0, 8.0, 16.0)), ("scale", (1.1, 1.4, 1.8)),
])  # fmt: skip
def test_the_first_layer_changes_at_once_and_the_last_little_by_little(
    zfnet: LoadedNetwork, move: Move, amounts: tuple[float, ...]
) -> None:
    first, last = followed(zfnet, move, amounts).distances
    assert is_less(last[0], first[0])  # a small move does less to the last layer
    for low, high in ((0, 1), (1, 2)):
        assert is_less(last[low], last[high])
    # Of what it comes to in the end, the first layer has more at once; the last grows about as the move does.
    assert is_less(last[0] / last[2], first[0] / first[2])
    linear = Mean.of(last[1] / last[2])
    assert 0.35 < linear.mean < 0.65


def test_the_answer_is_stable_to_shifts_and_scale_but_not_to_turning(zfnet: LoadedNetwork) -> None:
    still = followed(zfnet, "rotation", (0.0,)).probability[0]
    small: dict[Move, float] = {"vertical": 4.0, "horizontal": 4.0, "scale": 1.2}
    for move, amount in small.items():
        moved_by = followed(zfnet, move, (amount,)).probability[0]
        assert Mean.of(still - moved_by).mean < 0.1
    turned = followed(zfnet, "rotation", (90.0,)).probability[0]
    assert is_less(turned, still - 0.3)


def test_pooling_gives_local_invariance(zfnet: LoadedNetwork) -> None:
    """Where nothing else moves, a pooled map changes less than what it pools (claims 9 and 11 of the field notes)."""
    unseen = unseen_items(40, 64)
    found = invariance(zfnet.program, unseen.images, ["features.2", "features.3"], "vertical", (1.0, 2.0))
    before, pooled = found.distances
    assert is_less(pooled[0], before[0])
    assert is_less(pooled[1], before[1])
