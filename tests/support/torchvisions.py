"""torchvision's classifiers as tests build them."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import nn


def torchvisions(name: str) -> nn.Module:
    options: dict[str, Any] = {"googlenet": {"init_weights": False}}.get(name, {})
    return torchvision.models.get_model(name, weights=None, num_classes=10, **options).eval()
