"""Changes of features by what is hidden: against hooks on the module, and signs counted by hand."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

import models
from explorer.analysis.correspondence import feature_changes, sign_change
from explorer.errors import UnknownNameError, UserError
from explorer.graph.trace import trace


def test_changes_are_those_that_hooks_see() -> None:
    module = models.build("resnet_mini", seed=0).eval()
    images = torch.rand(3, 3, 64, 64)
    hidden = images.clone()
    hidden[:, :, 20:30, 20:40] = 0
    seen = list[torch.Tensor]()

    def note(_module: torch.nn.Module, _given: object, output: torch.Tensor) -> None:
        seen.append(output)

    hook = module.get_submodule("layer2").register_forward_hook(note)
    with torch.no_grad():
        for pictures in (images, hidden):
            module(pictures)
    hook.remove()
    changes = feature_changes(trace(module, (3, 64, 64)), images, hidden, ["layer2", "fc"])
    torch.testing.assert_close(changes["layer2"], seen[0] - seen[1], rtol=1e-4, atol=1e-5)
    assert changes["fc"].shape == (3, 12, 1, 1)


def test_images_hidden_in_two_ways_are_compared_with_the_same_whole_ones() -> None:
    program, images = trace(models.build("resnet_mini", seed=0).eval(), (3, 64, 64)), torch.rand(3, 3, 64, 64)
    first, second = images * 0.5, images.flip(3)
    both = feature_changes(program, images, torch.cat([first, second]), ["layer2"])["layer2"]
    apart = [feature_changes(program, images, hidden, ["layer2"])["layer2"] for hidden in (first, second)]
    torch.testing.assert_close(both, torch.cat(apart), rtol=1e-4, atol=1e-5)


def test_the_share_of_signs_that_differ_is_the_mean_over_pairs() -> None:
    changes = torch.randn(5, 4, 3, 3) * (torch.rand(5, 4, 3, 3) > 0.3)
    pairs = list(combinations(changes.sign(), 2))
    by_hand = sum((first != second).double().mean().item() for first, second in pairs) / len(pairs)
    assert sign_change(changes) == pytest.approx(by_hand)


def test_pictures_that_change_alike_differ_in_nothing_and_opposites_in_all() -> None:
    change = torch.randn(1, 6, 2, 2)
    assert sign_change(change.expand(4, -1, -1, -1)) == 0
    assert sign_change(torch.cat([change, -change])) == 1
    assert sign_change(torch.cat([change, 3 * change + 1e-7])) == 0  # rounding is no change


def test_pooled_changes_do_not_depend_on_the_place() -> None:
    changes = torch.zeros(2, 3, 4, 4)
    changes[0, :, 0, 0] = changes[1, :, 3, 3] = torch.tensor([1.0, -2.0, 3.0])
    assert sign_change(changes) > 0
    assert sign_change(changes, pooled=True) == 0


def test_what_cannot_be_compared_is_said() -> None:
    program, images = trace(models.build("lenet5", seed=0).eval(), (1, 32, 32)), torch.rand(2, 1, 32, 32)
    with pytest.raises(UserError, match=r"\[2, 1, 32, 32\] and \[1, 1, 32, 32\] are not pairs"):
        feature_changes(program, images, images[:1], ["features.0"])
    with pytest.raises(UnknownNameError, match="conv9"):
        feature_changes(program, images, images, ["conv9"])
    with pytest.raises(UserError, match="at least two"):
        sign_change(torch.ones(1, 3, 2, 2))
