"""A tiny network, weights for it, and the sentence with which weights are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.errors import WeightsError
from models.weights.sources import WeightsSource, file_source, load


def tiny() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def trained() -> dict[str, Tensor]:
    """The state dict of `tiny` with other values than a fresh one has."""
    torch.manual_seed(1)
    return {
        key: torch.rand_like(value) if value.is_floating_point() else torch.tensor(7)
        for key, value in tiny().state_dict().items()
    }


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def refusal(source: Callable[[], WeightsSource] | WeightsSource, **options: Any) -> str:
    """The sentence with which loading `source` into a tiny network fails, which leaves it as it was."""
    module = tiny()
    before = copy_of(module)
    with pytest.raises(WeightsError) as caught:
        load(module, source if isinstance(source, WeightsSource) else source(), **options)
    assert same(before, module.state_dict())
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def upload(content: bytes, name: str = "mine.safetensors") -> Callable[[], WeightsSource]:
    return lambda: file_source(name, content, "resnet_mini")


def pth(state: dict[str, Tensor], folder: Path) -> bytes:
    torch.save(state, folder / "saved.pth")
    return (folder / "saved.pth").read_bytes()
