"""Small .pt2 files, as torch.export writes them, and the same with some of their entries changed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

PROGRAM, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


def pt2_of(module: nn.Module, side: int = 8, batch: int | None = None) -> bytes:
    """A module for images [3, side, side], for any number of them by default."""
    shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
    example = torch.zeros(batch or 2, 3, side, side)
    program = torch.export.export(module.eval(), (example,), dynamic_shapes=shapes, strict=False)
    content = io.BytesIO()
    torch.export.save(program, content)
    return content.getvalue()


def plain_pt2() -> bytes:
    """A convolution and a ReLU."""
    torch.manual_seed(0)
    return pt2_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))


def rewritten(
    content: bytes, changes: dict[str, Callable[[bytes], bytes | None]], method: int = zipfile.ZIP_STORED
) -> bytes:
    """The file with entries changed by their path inside its folder; None leaves one out."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", method) as new:
        for name in old.namelist():
            path = name.partition("/")[2]
            data = changes[path](old.read(name)) if path in changes else old.read(name)
            if data is not None:
                new.writestr(name, data)
    return made.getvalue()


def with_json(content: bytes, path: str, change: Callable[[Any], Any]) -> bytes:
    """The file with one entry of JSON changed in place."""

    def changed(data: bytes) -> bytes:
        said = json.loads(data)
        change(said)
        return json.dumps(said).encode()

    return rewritten(content, {path: changed})
