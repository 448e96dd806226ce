"""Gradient flow: the norms are those of torch's own backward, the module stays as it was, and skips flatten them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import models
from explorer.analysis.gradient_flow import BATCH, gradient_norms, ratio
from explorer.errors import Cancelled, UserError

SIZE = (3, 64, 64)


def test_norms_are_those_of_a_plain_backward() -> None:
    """Three layers without batch statistics: the same batch, loss and labels by hand, with retained gradients."""
    torch.manual_seed(1)
    conv, head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
    net = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    found = gradient_norms(net, (3, 8, 8), seed=3)
    generator = torch.Generator().manual_seed(3)
    first = conv(torch.randn(BATCH, 3, 8, 8, generator=generator))
    first.retain_grad()
    scores = head(torch.relu(first).mean((2, 3)))
    scores.retain_grad()
    nn.functional.cross_entropy(scores, torch.randint(5, (BATCH,), generator=generator)).backward()
    assert [one.path for one in found] == ["0", "4"]
    assert [one.norm for one in found] == pytest.approx(
        [float(t.grad.norm()) for t in (first, scores) if t.grad is not None]
    )


def test_the_module_is_left_as_it_was() -> None:
    net = models.build("resnet_mini")
    before, mode = copy.deepcopy(net.state_dict()), net.training
    gradient_norms(net, SIZE)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training is mode
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(part._forward_hooks for part in net.modules())


def test_a_plain_stack_of_fifty_layers_has_the_steepest_gradients_and_a_pre_activated_one_the_flattest() -> None:
    """He et al. 2016, Identity Mappings: what stands in the way of the identity stands in that of the gradient."""
    plain = ratio(gradient_norms(models.build("resnet50", shortcut="none", image_size=64), SIZE))
    post = ratio(gradient_norms(models.build("resnet50", image_size=64), SIZE))
    pre = ratio(gradient_norms(models.build("preact_resnet50", image_size=64), SIZE))
    assert plain > 3 * post
    assert post > pre


def test_a_network_with_auxiliary_heads_is_followed_from_its_own_head() -> None:
    found = gradient_norms(models.build("googlenet", image_size=64), SIZE)
    assert not [one for one in found if one.path.startswith("aux")]
    assert found[-1].path == "fc"


def test_it_stops_in_the_middle() -> None:
    asked = 0

    def cancel() -> bool:
        nonlocal asked
        asked += 1
        return asked > 20

    with pytest.raises(Cancelled):
        gradient_norms(models.build("resnet_mini"), SIZE, cancel=cancel)


def test_frozen_weights_let_the_gradient_through() -> None:
    net = models.build("lenet_mini")
    expected = gradient_norms(net, SIZE)
    assert gradient_norms(net.requires_grad_(False), SIZE) == expected


def test_layers_that_work_in_place_do_not_change_what_is_told() -> None:
    """torchvision's ReLUs write into the output of the convolution before them, and a first one into the picture."""
    nets = [
        nn.Sequential(
            nn.ReLU(inplace=inplace), nn.Conv2d(3, 4, 3), nn.ReLU(inplace=inplace), nn.Flatten(), nn.Linear(144, 4)
        )
        for inplace in (False, True)
    ]
    nets[1].load_state_dict(nets[0].state_dict())
    apart, in_place = (gradient_norms(net, (3, 8, 8)) for net in nets)
    assert [one.norm for one in in_place] == pytest.approx([one.norm for one in apart])


class Paired(nn.Linear):
    """Returns its output with something else."""

    def forward(self, input: torch.Tensor) -> Any:
        return super().forward(input), None


class First(nn.Module):
    """The first of a pair."""

    def forward(self, pair: Any) -> torch.Tensor:
        return pair[0]


def test_a_layer_that_returns_more_than_its_output_is_passed_over() -> None:
    found = gradient_norms(nn.Sequential(nn.Flatten(), Paired(192, 8), First(), nn.Linear(8, 4)), (3, 8, 8))
    assert [one.path for one in found] == ["3"]


class Lacking(nn.Module):
    """Scores of no class at all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :0]


class Overwriting(nn.Module):
    """Changes what the way back needs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.sigmoid()
        return y.add_(1)


class Fussy(nn.Linear):
    """Wants labels while it trains, as many a detector does."""

    def forward(self, input: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        if self.training and labels is None:
            raise ValueError("labels should not be none when in training mode")
        return super().forward(input)


class Shut(nn.Linear):
    """Lets no gradient through."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return super().forward(input)


class Functional(nn.Module):
    """Has a layer that is no module."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(input, torch.ones(4, 3, 1, 1)).mean((2, 3))


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nn.Conv2d(3, 4, 3), "no scores of classes"),
        (nn.Sequential(nn.Flatten(), Fussy(192, 4)), "Sequential does not run in training mode: labels should not be"),
        (nn.Sequential(nn.Flatten(), Shut(192, 4)), "no scores of classes"),
        (Functional(), "followed at modules"),
        (nn.Sequential(nn.Flatten(), Overwriting(), nn.Linear(192, 4)), "No gradient can be followed back through Seq"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), First()), "no scores of classes"),
        (nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), Lacking()), "no scores of classes"),
    ],
)
def test_where_no_gradient_can_be_followed_a_sentence_says_why(net: nn.Module, said: str) -> None:
    with pytest.raises(UserError, match=said):
        gradient_norms(net, (3, 8, 8))
