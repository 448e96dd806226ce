"""A .pt2 file is the network that it came from: structure, fields, costs and values; nothing of it is executed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import explorer
import models
from explorer.errors import UserError
from explorer.exchange.network_file import open_network_file
from explorer.networks import catalog
from tests.support.pt2_files import pt2_of

# What ATen has as an operation of its own, and torch as an index.
_AS_INDEX = {"slice": "select", "index": "select"}


def layers(module: nn.Module, size: tuple[int, int, int]) -> list[Any]:
    """The layers with all that is told of them; of names, those of the modules."""
    return [
        (layer.scope, _AS_INDEX.get(layer.kind, layer.kind), layer.output_shape, layer.params, layer.macs,
         layer.receptive_field, layer.id if "select" not in _AS_INDEX.get(layer.kind, layer.kind) else "")
        for layer in explorer.analyze(module, size).layers if layer.kind not in ("dropout", "identity")
    ]  # fmt: skip


def same(again: nn.Module, module: nn.Module, side: int) -> None:
    """Layer by layer, tensor by tensor, and in what they compute of three images."""
    assert layers(again, (3, side, side)) == layers(module, (3, side, side))
    own = dict(module.named_parameters())
    assert {name: value.shape for name, value in again.named_parameters()} == {n: v.shape for n, v in own.items()}
    image = torch.randn(3, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(again(image), module(image), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["mobilenet_v3_mini", "shufflenet_v2_mini", "vit_mini", "convnext_mini", "nlnet_mini"])
def test_our_own_file_is_the_network_layer_by_layer(name: str, tmp_path: Path) -> None:
    module, path = models.build(name).eval(), tmp_path / "network.pt2"
    explorer.export(module, path, input_size=(3, 64, 64), classes=[f"kind {i}" for i in range(12)])
    network = catalog.find(str(path))
    same(network.build("cpu"), module, 64)
    loaded = catalog.load(network, catalog.weights_source(str(path)))
    assert loaded.classes[11] == "kind 11"


def test_torchvisions_network_is_read_as_torch_writes_it() -> None:
    module = torchvision.models.resnet18().eval()
    again = open_network_file("a.pt2", pt2_of(module, 64)).build("cpu")
    same(again, module, 64)
    image = torch.randn(1, 3, 64, 64)
    seen = explorer.occlusion_map(again, image, window=32, stride=32)
    assert np.allclose(seen.probability, explorer.occlusion_map(module, image, window=32, stride=32).probability)
    wanted = explorer.deconvnet(module, image, "layer2.0.conv1")
    torch.testing.assert_close(explorer.deconvnet(again, image, "layer2.0.conv1"), wanted)


class UNet(nn.Module):
    """Down, up again by a transposed convolution and by interpolation to a size of the input, joined on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1)
        self.up, self.last = nn.ConvTranspose2d(8, 8, 2, stride=2), nn.Conv2d(16, 2, 1)
        self.norm = nn.GroupNorm(2, 8)

    def forward(self, x: Tensor) -> Tensor:
        side = F.gelu(self.norm(self.first(x)))
        deep = F.silu(self.deep(self.down(side)))
        joined = torch.cat([side, self.up(deep)], 1)
        return F.interpolate(self.last(joined), x.shape[-2:], mode="bilinear", align_corners=False)


class Inside(nn.Module):
    """A module that is called twice, tied weights, parts of a tensor, a buffer that is not kept, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.one, self.two = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.two.weight = self.one.weight
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor([2.0, 3.0]).view(1, 2, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        left, right = self.act(self.conv(x)).chunk(2, 1)
        left = self.act(self.one(left) * self.scale)
        rows = torch.arange(x.shape[2], device=x.device).to(x.device, x.dtype)
        return left.flatten(2).mean(-1), (self.two(right).mean(1) * rows).transpose(1, 2)


def test_a_u_net_is_what_it_was() -> None:
    module = UNet().eval()
    same(open_network_file("a.pt2", pt2_of(module, 16)).build("cpu"), module, 16)


def test_tied_weights_second_calls_and_several_outputs_stay() -> None:
    module = Inside().eval()
    again = open_network_file("a.pt2", pt2_of(module, 8)).build("cpu")
    same(again, module, 8)
    assert sum(value.numel() for value in again.parameters()) == sum(value.numel() for value in module.parameters())
    names = [layer.id for layer in explorer.analyze(again, (3, 8, 8)).layers]
    assert ("act" in names, "act#2" in names) == (True, True)


def test_half_precision_and_weights_in_another_order_of_memory() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).to(memory_format=torch.channels_last)
    again = open_network_file("a.pt2", pt2_of(module)).build("cpu")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in module.state_dict().items())
    low = nn.Sequential(nn.Conv2d(3, 4, 3)).bfloat16()
    program = torch.export.export(low, (torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16),))
    network = catalog.network_in_file("low.pt2", _saved(program))
    assert network.dtype is torch.bfloat16
    assert torch.equal(network.build("cpu").state_dict()["0.weight"], low.state_dict()["0.weight"])


def _saved(program: torch.export.ExportedProgram) -> bytes:
    content = io.BytesIO()
    torch.export.save(program, content)
    return content.getvalue()


class Random(nn.Module):
    """An operation that is not listed."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def test_what_is_not_listed_is_named() -> None:
    with pytest.raises(UserError, match=r"^a\.pt2: its operation 'torch\.ops\.aten\.rand_like\.default' is not known"):
        open_network_file("a.pt2", pt2_of(Random()))


def test_a_file_for_eight_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"^a\.pt2 takes 8 pictures at a time and no other number"):
        open_network_file("a.pt2", pt2_of(nn.Conv2d(3, 4, 3), batch=8))
