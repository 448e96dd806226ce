"""Dead channels and zeros behind activations, against hooks of plain torch, and which layer has whose figures."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import models
from explorer.analysis.channels import ChannelUse, channel_use
from explorer.errors import Cancelled
from explorer.graph.trace import trace
from explorer.images import codec
from explorer.networks import catalog
from tests.support.places import SAMPLES, WEIGHTS


def with_shipped_weights(name: str, **knobs: Any) -> tuple[nn.Module, Tensor]:
    """A trained network and a picture of a cat as its input."""
    module = models.build(name, **knobs)
    module.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))
    expected = catalog.preprocessing(catalog.weights_source(name), models.spec(name))
    return module, expected.tensor(codec.load(SAMPLES / "cat.png").pixels)


def hooked(module: nn.Module, image: Tensor, kind: type[nn.Module]) -> dict[str, tuple[float, float, int]]:
    """Dead share, share of zeros and channels behind each activation, by plain hooks and numpy; tokens have their
    channels last."""
    found: dict[str, tuple[float, float, int]] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            maps = (output[0].T if output.dim() == 3 else output[0].reshape(output.shape[1], -1)).numpy()
            found[name] = float((maps.max(1) <= 0).mean()), float(np.mean(maps == 0)), len(maps)

        return hook

    handles = [part.register_forward_hook(keep(name)) for name, part in module.named_modules() if type(part) is kind]
    with torch.no_grad():
        module(image)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize(("name", "kind"), [("zfnet_mini", nn.ReLU), ("resnet_mini", nn.ReLU), ("vit_mini", nn.GELU)])
def test_shares_are_those_that_hooks_of_torch_find(name: str, kind: type[nn.Module]) -> None:
    module, image = with_shipped_weights(name)
    found = channel_use(trace(module, (3, 64, 64)), image)
    own = {layer: use for layer, use in found.items() if use.activation == layer}
    assert {k: (u.dead, u.zeros, u.channels) for k, u in own.items()} == hooked(module, image, kind)
    if kind is nn.ReLU:
        assert any(use.dead > 0 for use in own.values()), "some channels of this picture's maps are dead"
        assert all(0 < use.zeros < 1 for use in own.values())


def test_a_swish_is_dead_where_it_is_never_above() -> None:
    module, image = with_shipped_weights("zfnet_mini", activation="silu")
    own = {n: (u.dead, u.zeros, u.channels) for n, u in channel_use(trace(module, (3, 64, 64)), image).items()
           if u.activation == n}  # fmt: skip
    assert own == hooked(module, image, nn.SiLU)


class Small(nn.Module):
    """Two units: conv, norm and activation, of which the second activation reads what a sum reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.shared, self.gate = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.copy_(torch.tensor([-1.0, 0.0, 2.0, -3.0]))  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(self.norm(self.conv(x)))
        y = self.shared(x)
        return (functional.relu(y) + y) * torch.sigmoid(self.gate(x))


def test_what_leads_to_an_activation_alone_has_its_figures_and_nothing_else_has_any() -> None:
    found = channel_use(trace(Small().eval(), (3, 8, 8)), torch.zeros(3, 8, 8))
    first = ChannelUse(0.75, 0.75, 4, "relu")
    assert {name: found[name] for name in ("conv", "norm", "relu")} == dict.fromkeys(("conv", "norm", "relu"), first)
    assert {*found} == {"conv", "norm", "relu", "relu#2"}, "not a sum, a gate, nor what two read"


def test_nan_is_neither_dead_nor_0() -> None:
    image = torch.zeros(1, 2, 2)
    image[0, 0, 0] = torch.nan
    module = nn.Sequential(nn.Identity(), nn.ReLU()).eval()
    assert channel_use(trace(module, (1, 2, 2)), image)["1"] == ChannelUse(0.0, 0.75, 1, "1")


def test_it_ends_when_it_is_told_to_and_says_how_far_it_is() -> None:
    program = trace(models.build("zfnet_mini"), (3, 64, 64))
    with pytest.raises(Cancelled):
        channel_use(program, torch.zeros(3, 64, 64), cancel=lambda: True)
    told: list[tuple[int, int]] = []
    channel_use(program, torch.zeros(3, 64, 64), progress=lambda *done: told.append(done))
    assert told == [(i + 1, len(told)) for i in range(len(told))]


def test_no_map_is_kept() -> None:
    """Of eight maps of 16 MB there are never more than those that one operation reads and writes, and their masks."""
    layers = [part for _ in range(8) for part in (nn.Conv2d(4, 4, 1), nn.ReLU())]
    program = trace(nn.Sequential(*layers).eval(), (4, 1024, 1024))
    gc.collect()
    most = 0

    def held(*_: int) -> None:
        nonlocal most
        tensors = [o for o in gc.get_objects() if type(o) is Tensor and o.numel() >= 2**22]
        most = max(most, len({o.untyped_storage().data_ptr() for o in tensors}))

    channel_use(program, torch.zeros(4, 1024, 1024), progress=held)
    assert 1 <= most <= 4
