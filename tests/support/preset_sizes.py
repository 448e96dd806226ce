"""Input sizes at which presets can be tried."""

from __future__ import annotations

import models


def input_size(name: str, height: int, width: int | None = None) -> tuple[int, int, int]:
    """(channels, height, width) for a preset; a transformer's positions are learned for its own size only."""
    spec = models.preset(name).spec
    if models.architecture_of(name).name == "vit":
        return spec.in_channels, spec.image_size, spec.image_size
    return spec.in_channels, height, width or height
