"""Every compact preset goes out as ONNX and as safetensors, and comes back equal.

As Python every preset is in test_source.py; the large ones are in test_large_presets.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import explorer
import models
from explorer.exchange.network_file import open_network_file
from models.weights.safetensors_file import read_into
from tests.support.onnx_files import table_made_once

COMPACT = [name for name in models.presets() if models.preset(name).compact]
SIZE = (3, 64, 64)


@pytest.fixture(scope="module", autouse=True)
def registry_made_once() -> Iterator[None]:
    with table_made_once():
        yield


def network(name: str) -> nn.Module:
    """A preset with statistics that are not 0 and 1, so that no norm can be left out unseen."""
    module = models.build(name).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.1, 0.1)  # pyright: ignore[reportArgumentType]
            nn.init.uniform_(part.running_var, 0.5, 1.5)  # pyright: ignore[reportArgumentType]
    return module


def with_weights(module: nn.Module) -> list[Any]:
    """The layers that have weights or multiply: an exporter may write the others as several, or as others."""
    layers = explorer.analyze(module, SIZE).layers
    return [
        (layer.id, layer.kind, layer.output_shape, layer.params, layer.macs, layer.receptive_field)
        for layer in layers if layer.params or layer.macs
    ]  # fmt: skip


def close(found: Tensor, wanted: Tensor) -> bool:
    return float((found - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())


@pytest.mark.parametrize("name", COMPACT)
def test_a_compact_preset_comes_back_from_onnx(name: str, tmp_path: Path) -> None:
    module, path = network(name), tmp_path / "network.onnx"
    explorer.export(module, path, input_size=SIZE)
    again, image = open_network_file(path.name, path).build("cpu"), torch.randn(2, *SIZE)
    with torch.no_grad():
        wanted, found = module(image), again(image)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"image": image.numpy()})
    assert close(found, wanted)
    assert close(torch.from_numpy(np.asarray(theirs)), wanted)
    assert with_weights(again) == with_weights(module)
    analysis = explorer.analyze(again, SIZE)
    assert analysis.receptive_field == explorer.analyze(module, SIZE).receptive_field


@pytest.mark.parametrize("name", COMPACT)
def test_a_compact_preset_comes_back_from_safetensors(name: str, tmp_path: Path) -> None:
    module, path = network(name), tmp_path / "network.safetensors"
    explorer.export(module, path, input_size=SIZE)
    again = models.build(name, seed=1)
    read_into(again, path, path.name)
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in again.state_dict().items())
