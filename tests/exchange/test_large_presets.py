"""Large presets go out as ONNX, and as safetensors with values; both come back equal. As Python: test_source.py.

An ONNX file is written of a network on meta: of its weights it has names and shapes, which is what a structure needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import explorer
import models
from explorer.exchange.network_file import open_network_file
from models.weights.safetensors_file import read_into
from tests.support.onnx_files import structure_file, table_made_once

LARGE = [name for name in models.presets() if not models.preset(name).compact]


def size_of(name: str) -> tuple[int, int, int]:
    spec = models.spec(name)
    return spec.in_channels, spec.image_size, spec.image_size


def on_meta(name: str) -> nn.Module:
    return models.build(name, device="meta").eval()


@pytest.fixture(scope="module", autouse=True)
def registry_made_once() -> Iterator[None]:
    with table_made_once():
        yield


def layers(module: nn.Module, size: tuple[int, int, int]) -> list[Any]:
    """The layers that have weights or multiply: an exporter may write the others as several, or as others."""
    return [
        (layer.id, layer.kind, layer.output_shape, layer.params, layer.macs, layer.receptive_field)
        for layer in explorer.analyze(module, size).layers if layer.params or layer.macs
    ]  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_a_large_preset_comes_back_from_onnx(name: str) -> None:
    module, size = on_meta(name), size_of(name)
    content = structure_file(module, size)
    again = open_network_file("network.onnx", content).build("meta")
    assert layers(again, size) == layers(module, size)
    assert explorer.analyze(again, size).receptive_field == explorer.analyze(module, size).receptive_field
    image = torch.zeros(2, *size, device="meta")
    assert again(image).shape == module(image).shape


@pytest.mark.parametrize("name", LARGE)
def test_a_large_preset_comes_back_from_safetensors(name: str, tmp_path: Path) -> None:
    module, again = (on_meta(name).to_empty(device="cpu") for _ in range(2))
    for number, value in enumerate(module.state_dict().values()):
        value.fill_(number)
    path = tmp_path / "network.safetensors"
    explorer.export(module, path, input_size=size_of(name))
    read_into(again, path, path.name)
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in again.state_dict().items())
    path.unlink()
