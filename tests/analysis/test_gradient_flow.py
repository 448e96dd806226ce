"""Gradient flow: the norms are those of torch's own backward, the module stays as it was, and skips flatten them."""

from __future__ import annotations

import copy

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


def test_what_gives_no_scores_is_refused() -> None:
    with pytest.raises(UserError, match="no scores of classes"):
        gradient_norms(nn.Conv2d(3, 4, 3), (3, 8, 8))
