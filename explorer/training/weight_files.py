"""Writes a network's weights as they are shipped: float16, with what a reader has to know in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from explorer.training.dataset import CLASSES, MEAN, STD
from explorer.whole_file import write_whole


def facts(image_size: int) -> dict[str, Any]:
    """What every network trained here was trained for: classes, normalisation, the picture's side in px."""
    return {"classes": list(CLASSES), "mean": list(MEAN), "std": list(STD), "image_size": image_size}


def write_weights(path: Path, module: nn.Module, preset: str, image_size: int, epoch: int | None = None) -> None:
    """Write the state dict whole, floats in float16; `epoch` is said in the header. Raises OSError."""
    header = {"preset": preset, **{name: json.dumps(value) for name, value in facts(image_size).items()}}
    if epoch is not None:
        header["epoch"] = str(epoch)
    halved = {name: _half(tensor) for name, tensor in module.state_dict().items()}
    content = in_order(save(halved, header))
    write_whole(path, lambda draft: draft.write_bytes(content))


def in_order(content: bytes) -> bytes:
    """A safetensors file with the texts of its header sorted: the library writes them in another order each time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[end:]


def epoch_file(preset: str, epoch: int) -> str:
    """The name of the file with the weights after so many epochs."""
    return f"{preset}-epoch{epoch}.safetensors"


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
