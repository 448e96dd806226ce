"""Networks that no trace follows, and hooks on a network itself: as PyTorch's own passes, and left as they were."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import explorer
from explorer.analysis.occluder import occlude
from explorer.errors import Cancelled, TraceError, UnknownNameError, UserError

IMAGE = torch.randn(3, 12, 14, generator=torch.Generator().manual_seed(0))


class Untraceable(nn.Module):
    """What it does depends on values, which it takes out of torch; it counts, keeps and draws."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.how, self.seen = how, [0]
        self.last: Tensor | None = None
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 4)
        self.block = nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU())
        self.register_buffer("count", torch.zeros(()))
        nn.init.normal_(self.head.weight, std=2)

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("count").add_(1)
        y = self.norm(self.conv(x))
        self.last = y
        self.seen.append(1)
        y = self.block(y)
        match self.how:
            case "branch on data":
                y = y * 2 if y.mean() > y.std() else y + 1
            case "numpy":
                y = y + torch.from_numpy(np.tanh(y.detach().numpy()))
            case "float":
                y = y * float(y.max())
            case "item and noise":
                y = y + 0 * torch.rand(y.shape).sum() + y.sum().item()
        return self.head(y.mean((2, 3)))


WAYS = ["branch on data", "numpy", "float", "item and noise"]


def hooked(module: nn.Module, path: str, image: Tensor) -> Tensor:
    """What a hook on a copy of the module sees, in evaluation."""
    copied, seen = copy.deepcopy(module).eval(), list[Tensor]()
    copied.get_submodule(path).register_forward_hook(lambda _m, _a, out: seen.append(out.clone()))
    with torch.no_grad():
        copied(image[None])
    return seen[0][0]


def assert_is_loop(found: explorer.OcclusionMap, expected: Callable[[Tensor], Tensor]) -> None:
    with torch.no_grad():
        assert found.baseline == pytest.approx(float(expected(IMAGE[None])[0, found.target]), abs=1e-5)
        for row, column in np.ndindex(found.shape):
            answer = expected(occlude(IMAGE[None], found.box(row, column)))[0, found.target]
            assert found.probability[row, column] == pytest.approx(float(answer), abs=1e-5)


@pytest.mark.parametrize("how", WAYS)
def test_feature_maps_are_those_of_a_hook_and_occlusion_that_of_a_loop(how: str) -> None:
    module = Untraceable(how).eval()
    for path in ("conv", "norm", "block", "block.0"):
        torch.testing.assert_close(explorer.feature_maps(module, IMAGE, path), hooked(module, path, IMAGE))
    found = explorer.occlusion_map(module, IMAGE, window=5, stride=4, layer="block")
    assert (found.is_traced, found.output) == (False, "softmax")
    copied = copy.deepcopy(module)
    assert_is_loop(found, lambda image: copied(image).softmax(1))
    totals = hooked(module, "block", IMAGE).sum((1, 2))
    assert (found.channel, found.baseline_activation) == (int(totals.argmax()), pytest.approx(float(totals.max())))


@pytest.mark.parametrize("how", WAYS)
def test_the_module_is_left_as_it_was(how: str) -> None:
    module = Untraceable(how).train()
    module.block.eval()
    stored, state = [], copy.deepcopy(module.state_dict())
    handle = module.block.register_forward_hook(lambda _m, _a, out: stored.append(out))
    before, random = [part.training for part in module.modules()], torch.get_rng_state()
    explorer.feature_maps(module, IMAGE, "block")
    explorer.occlusion_map(module, IMAGE, window=7, stride=7)
    with pytest.raises(Cancelled):
        explorer.occlusion_map(module, IMAGE, window=7, cancel=lambda: True)
    assert [part.training for part in module.modules()] == before
    assert torch.equal(torch.get_rng_state(), random)
    assert (module.last, module.seen) == (None, [0])
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()].count(0) == 6
    handle.remove()
    assert not module.block._forward_hooks, "the handle still holds the hook"


def test_what_is_not_there_or_does_not_run_is_one_sentence() -> None:
    module = Untraceable("float").eval()
    with pytest.raises(UnknownNameError, match="'blok' is not a module .* cannot be traced; the nearest are block"):
        explorer.feature_maps(module, IMAGE, "blok")
    with pytest.raises(UserError, match="'block#2' was run 1 times"):
        explorer.feature_maps(module, IMAGE, "block#2")
    with pytest.raises(TraceError):
        explorer.feature_maps(module, torch.zeros(5, 12, 12), "block")


@pytest.mark.parametrize("how", [torch.jit.script, lambda module: torch.jit.trace(module, torch.randn(1, 3, 64, 64))])
def test_torchscript_has_maps_of_its_modules_and_occlusion(how: Any) -> None:
    torch.manual_seed(0)
    module, image = torchvision.models.resnet18(num_classes=7).eval(), torch.randn(3, 64, 64)
    with pytest.warns(FutureWarning):
        scripted = how(module)
    for path in ("conv1", "bn1", "layer1.0.bn1", "layer3.0.downsample", "layer4", "layer4.1.conv2"):
        torch.testing.assert_close(explorer.feature_maps(scripted, image, path), hooked(module, path, image))
    found = explorer.occlusion_map(scripted, image, window=40, stride=24, layer="layer4")
    usual = explorer.occlusion_map(module, image, window=40, stride=24, layer="layer4")
    assert not found.is_traced
    np.testing.assert_allclose(found.probability, usual.probability, atol=1e-5)
    assert found.channel == usual.channel
    with pytest.raises(UnknownNameError, match="'layer5' is not a module"):
        explorer.feature_maps(scripted, image, "layer5")


# -- Hooks on the network itself --------------------------------------------------------------------------------------


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()


def test_hooks_on_the_network_itself_count() -> None:
    module = plain()
    module.register_forward_pre_hook(lambda _m, args: (args[0].mul_(3) + 1,))
    module.register_forward_pre_hook(lambda _m, args, kwargs: ((args[0] - 0.5,), kwargs), with_kwargs=True)

    def scaled(_module: nn.Module, _args: Any, out: Any) -> Tensor:
        return out * 4

    def shifted(_module: nn.Module, args: Any, _kwargs: Any, out: Any) -> Tensor:
        return out + args[0].mean()

    module.register_forward_hook(scaled)
    module.register_forward_hook(shifted, with_kwargs=True)
    image = IMAGE.clone()
    found = explorer.occlusion_map(module, image, window=5, stride=4)
    assert torch.equal(image, IMAGE)
    assert found.is_traced
    assert_is_loop(found, lambda picture: module(picture.clone()).softmax(1))
    with torch.no_grad():
        torch.testing.assert_close(explorer.feature_maps(module, IMAGE, "0"), module[0](IMAGE[None] * 3 + 0.5)[0])


def test_a_hook_on_the_network_itself_that_ends_in_a_sigmoid_is_its_end() -> None:
    module = plain()
    module.register_forward_hook(lambda _m, _a, out: out.sigmoid())
    found = explorer.occlusion_map(module, IMAGE, window=5, stride=4)
    assert found.output == "probabilities"
    assert_is_loop(found, module)
