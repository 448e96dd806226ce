"""Public networks that no table here knows open through every door without an operation that is unknown.

By name all of them are tried; as files of a network, as checkpoints and live some, and all in `make fuzz`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

import explorer
from explorer.exchange.network_file import open_network_file
from explorer.networks import catalog
from explorer.networks.identify import identify
from explorer.networks.own_weights import own_weights
from models.weights.own_file import open_own
from tests.support.places import ROOT

BY_NAME = [
    "timm:convnextv2_atto", "timm:edgenext_xx_small", "timm:mobilevit_xxs", "timm:ghostnet_050", "timm:repvgg_a0",
    "timm:hardcorenas_a", "timm:resnest14d", "timm:skresnet18", "timm:xception41", "timm:poolformer_s12",
    "torchvision:lraspp_mobilenet_v3_large", "torchvision:deeplabv3_mobilenet_v3_large",
    "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn.backbone", "torchvision:ssdlite320_mobilenet_v3_large.backbone",
]  # fmt: skip

WHOLE = bool(int(os.environ.get("FUZZ_EXAMPLES", "0")))
SOME_FILES = [
    ("timm:convnextv2_atto", "pt2"), ("torchvision:lraspp_mobilenet_v3_large", "pt2"),
    ("timm:ghostnet_050", "onnx"),
]  # fmt: skip
FILES = [(name, ending) for name in BY_NAME for ending in ("pt2", "onnx")] if WHOLE else SOME_FILES


class UNet(nn.Module):
    """Ronneberger et al. 2015 in small: maps from the way down are cropped and joined on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3), nn.Conv2d(16, 32, 3)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)])
        self.join = nn.ModuleList([nn.Conv2d(32, 16, 3), nn.Conv2d(16, 8, 3)])
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for i, convolution in enumerate(self.down):
            x = F.relu(convolution(F.max_pool2d(x, 2) if i else x))
            kept.append(x)
        for up, join, skip in zip(self.up, self.join, reversed(kept[:-1]), strict=True):
            x = up(x)
            edge = (skip.shape[-1] - x.shape[-1]) // 2
            skip = skip[..., edge : edge + x.shape[-2], edge : edge + x.shape[-1]]
            x = F.relu(join(torch.cat([skip, x], 1)))
        return self.head(x)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_public_network_has_no_unknown_operation(name: str) -> None:
    analysis = catalog.find(name).analysis()
    assert analysis.unknown == ()
    assert analysis.params == sum(p.numel() for p in analysis.module.parameters())


@pytest.mark.fuzz
@pytest.mark.parametrize(("name", "ending"), FILES)
def test_a_public_network_comes_as_a_file(name: str, ending: str, tmp_path: Path) -> None:
    _comes_back(catalog.find(name).build("cpu").eval(), tmp_path / f"network.{ending}", 64)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", BY_NAME if WHOLE else ["timm:convnextv2_atto"])
def test_a_public_network_is_recognised_by_its_checkpoint(name: str, tmp_path: Path) -> None:
    module, path = catalog.find(name, seed=1).build("cpu").eval(), tmp_path / "weights.pth"
    torch.save({"state_dict": module.state_dict()}, path)
    file = open_own(path)
    best, *_ = identify(file)
    assert (best.name, best.fit.is_whole) == (name, True)
    own = own_weights(file, best.name)
    loaded, image = catalog.load(own.network, own.source).module, torch.rand(1, *own.network.input_size)
    with torch.no_grad():
        torch.testing.assert_close(_first(loaded(image)), _first(module(image)), rtol=1e-5, atol=1e-6)


# In a process of its own, as the page can be served once by each.
LIVE = """
import sys
from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor, build_opener
import torch
import explorer
from explorer.networks import catalog, live

for name in sys.argv[1:]:
    module = catalog.find(name).build("cpu")
    page = explorer.open(module)
    with build_opener(HTTPCookieProcessor(CookieJar())).open(page.url) as answer:
        assert answer.status == 200
    network = live.current().network()
    analysis = network.analysis()
    assert analysis.unknown == (), (name, analysis.unknown)
    loaded = catalog.load(network, network.own_weights)
    layer = next(layer for layer in analysis.layers if layer.params and layer.is_map)
    maps = explorer.feature_maps(loaded.module, torch.rand(1, *network.input_size), layer.id)
    assert maps.shape == layer.output_shape[1:]
explorer.close()
"""


@pytest.mark.fuzz
@pytest.mark.timeout(900)
def test_public_networks_open_live() -> None:
    names = BY_NAME if WHOLE else ["timm:ghostnet_050", "torchvision:lraspp_mobilenet_v3_large"]
    subprocess.run([sys.executable, "-c", LIVE, *names], check=True, cwd=ROOT)


@pytest.mark.parametrize("ending", ["pt2", "onnx"])
def test_a_unet_of_ones_own_comes_as_a_file(ending: str, tmp_path: Path) -> None:
    _comes_back(UNet().eval(), tmp_path / f"network.{ending}", 68)


def _comes_back(module: nn.Module, path: Path, side: int) -> None:
    """A file gives the same outputs, layers with weights, costs and fields, and knows every operation."""
    explorer.export(module, path, input_size=(3, side, side))
    again, image = open_network_file(path.name, path).build("cpu"), torch.rand(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(_first(again(image)), _first(module(image)), rtol=1e-4, atol=1e-5)
    found, wanted = (explorer.analyze(network, (3, side, side)) for network in (again, module))
    assert found.unknown == ()
    assert (found.params, found.macs, found.receptive_field) == (wanted.params, wanted.macs, wanted.receptive_field)
    kept = [
        [(layer.kind, layer.output_shape, layer.params, layer.macs) for layer in each.layers if layer.macs]
        for each in (found, wanted)
    ]
    assert kept[0] == kept[1]


def _first(outputs: Any) -> Tensor:
    """The first tensor of what a network gives."""
    return pytree.tree_leaves(outputs)[0]


def test_a_unet_of_ones_own_has_no_unknown_operation_and_its_maps_are_its_own() -> None:
    module, image = UNet(), torch.rand(1, 3, 68, 68)
    assert explorer.analyze(module, (3, 68, 68)).unknown == ()
    torch.testing.assert_close(explorer.feature_maps(module, image, "head"), module(image)[0].detach())
