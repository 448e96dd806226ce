"""A tiny network, weights for it and the sentence that refuses them; a fine-tuned one, saved as people save theirs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import resnet18

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


# -- a network of torchvision's that somebody fine-tuned, and the ways in which people save such a one -----------------


@cache
def finetuned() -> nn.Module:
    """torchvision's ResNet-18 with five classes, after a few steps, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = resnet18(num_classes=5)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 2, 3])).backward()
            optimizer.step()
    return model.eval()


def rounded() -> nn.Module:
    """The same with the values that half precision leaves of its weights, in single precision."""
    return deepcopy(finetuned()).half().float()


def _prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def _lightning(model: nn.Module) -> dict[str, Any]:
    options = argparse.Namespace(root=PurePosixPath("/data"), lr=np.float64(0.1))
    return {
        "epoch": 2, "global_step": 30, "pytorch-lightning_version": "2.5.0", "loops": {}, "callbacks": {},
        "state_dict": {**_prefixed("model.", model.state_dict()), "criterion.weight": torch.ones(5)},
        "optimizer_states": [torch.optim.AdamW(model.parameters()).state_dict()],
        "hyper_parameters": {"options": options, "classes": list("abcde")},
    }  # fmt: skip


def _averaged(model: nn.Module) -> dict[str, Any]:
    other = resnet18(num_classes=5)
    return {"epoch": 2, "model": other.state_dict(), "model_ema": AveragedModel(model).state_dict()}


# By file name: what torch.save is given, and what the program says of it.
SAVED: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "plain.pth": (lambda model: model.state_dict(), ""),
    "parallel.PT": (lambda model: nn.DataParallel(model).state_dict(), "prefix 'module.' taken off"),
    "lightning.ckpt": (_lightning, "read from 'state_dict', prefix 'model.' taken off, 1 other tensor passed over"),
    "compiled.pth": (lambda model: {"net": torch.compile(model).state_dict()}, "'net', prefix '_orig_mod.' taken off"),
    "averaged.pth": (_averaged, "read from 'model_ema', beside it 'model', prefix 'module.' taken off"),
    "half.pth.tar": (lambda model: {"state_dict": deepcopy(model).half().state_dict()}, "read from 'state_dict'"),
    "whole.pth": (lambda model: model, "is a whole pickled network, which runs code when it is opened"),
    "plain.SAFETENSORS": (lambda model: model.state_dict(), ""),
}


def saved(name: str, folder: Path) -> Path:
    """The fine-tuned network in one of these ways."""
    content, path = SAVED[name][0](finetuned()), folder / name
    if name.endswith("SAFETENSORS"):
        save_file(content, path)
    else:
        torch.save(content, path)
    return path
