"""A trace, a feature map and an occlusion leave a person's module as it was, and a trace ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import explorer
from explorer import analyze
from explorer.errors import TraceError
from explorer.graph.trace import trace
from explorer.run.execute import run
from tests.support.random_networks import Call

SIZE = (3, 12, 12)


class RebindsBuffer(nn.Module):
    """Counts its calls, in a buffer that it binds anew."""

    n: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("n", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.n = self.n + 1
        return self.conv(x)


class KeepsLast(nn.Module):
    """Keeps what it computed, in an attribute, a list, a dict and a set."""

    def __init__(self, fails: type[BaseException] | None = None) -> None:
        super().__init__()
        self.conv, self.fails = nn.Conv2d(3, 4, 3), fails
        self.last: Any = None
        self.all: list[Any] = ["first"]
        self.named: dict[str, Any] = {"a": 1}

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.conv(x)
        self.all.append(self.last)
        self.named["b"] = self.last
        if self.fails is not None:
            raise self.fails
        return self.last


def test_a_buffer_that_is_bound_anew_is_the_one_it_was() -> None:
    network = RebindsBuffer()
    before = network.n
    assert analyze(network, SIZE).macs == 4 * 27 * 100
    assert network.n is before
    assert network.n == 0


@pytest.mark.parametrize("fails", [None, ValueError, KeyboardInterrupt])
def test_what_a_forward_keeps_is_what_it_was(fails: type[BaseException] | None) -> None:
    """After success, after failure, and after an interruption."""
    network = KeepsLast(fails)
    if fails is None:
        analyze(network, SIZE)
    else:
        with pytest.raises(KeyboardInterrupt if fails is KeyboardInterrupt else TraceError):
            analyze(network, SIZE)
    assert network.last is None
    assert network.all == ["first"]
    assert network.named == {"a": 1}
    assert network.training
    assert not any(name.startswith("_tensor_constant") for name in vars(network))


def pruned(conv: nn.Module) -> nn.Module:
    return prune.l1_unstructured(conv, "weight", 0.5)


COMPUTED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "pruned": pruned,
    "weight norm of old": torch.nn.utils.weight_norm,
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
@pytest.mark.parametrize("how", COMPUTED)
def test_a_computed_weight_stays_where_it_is_and_is_used(how: str) -> None:
    network = nn.Sequential(COMPUTED[how](nn.Conv2d(3, 4, 3)), nn.ReLU()).eval()
    kept = {name: value for name, value in vars(network[0]).items() if isinstance(value, Tensor)}
    image = torch.rand(1, *SIZE)
    right = network(image)
    kept = {name: value for name, value in vars(network[0]).items() if isinstance(value, Tensor)}
    assert analyze(network, SIZE).macs == 4 * 27 * 100
    assert torch.equal(run(trace(network, SIZE), image).output, right)
    now = {name: value for name, value in vars(network[0]).items() if isinstance(value, Tensor)}
    assert now.keys() == kept.keys()
    assert all(now[name] is kept[name] for name in kept)


def test_what_a_hook_stored_is_what_it_stored() -> None:
    """Hooks that look on are not called with what is no activation of theirs."""
    seen: dict[str, Any] = {"x": "mine"}
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    network[0].register_forward_hook(lambda _module, _args, output: seen.update(x=output))
    found = analyze(network, SIZE)
    assert seen == {"x": "mine"}
    assert [layer.kind for layer in found.layers] == ["input", "conv", "conv"]
    explorer.feature_maps(network, torch.rand(1, *SIZE), "1")
    assert seen == {"x": "mine"}


def pooled(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
    return nn.functional.max_pool2d(output, 2)


def test_a_hook_that_replaces_an_output_is_part_of_the_network() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3)).eval()
    network[0].register_forward_hook(pooled)
    found = analyze(network, SIZE)
    assert [(layer.kind, layer.macs) for layer in found.layers] == [
        ("input", 0), ("conv", 12 * 12 * 12), ("max_pool", 0), ("conv", 4 * 4 * 4 * 36),
    ]  # fmt: skip
    image = torch.rand(2, *SIZE)
    assert torch.equal(run(found.program, image).output, network(image))


def test_hooks_of_the_network_itself_count() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1)).eval()
    network.register_forward_pre_hook(lambda _module, args: (args[0] * 2,))
    network.register_forward_hook(lambda _module, _args, output: output.tanh())
    found = analyze(network, SIZE)
    assert [layer.kind for layer in found.layers] == ["input", "mul", "conv", "tanh"]
    image = torch.rand(2, *SIZE)
    assert torch.equal(run(found.program, image).output, network(image))


def endless(x: Tensor) -> Tensor:
    while True:
        x = x + 1


def test_a_forward_that_does_not_end_is_ended() -> None:
    with pytest.raises(TraceError, match="makes more than 100000 operations"):
        analyze(Call(endless), SIZE)


def test_the_graph_of_a_forward_that_does_not_end_is_its_beginning() -> None:
    draft = trace(Call(endless), SIZE, partial=True).graph
    assert draft.failure is not None
    assert "more than 100000 operations" in draft.failure.reason
    assert {layer.kind for layer in draft.layers[1:]} == {"add"}
    assert 100 < len(draft.layers) <= 1_000


class CallsItself(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return self.forward(x)


def test_a_forward_that_calls_itself_without_end_is_ended() -> None:
    with pytest.raises(TraceError, match="its code calls itself more than"):
        analyze(CallsItself(), SIZE)
