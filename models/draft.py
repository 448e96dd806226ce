"""Networks that cannot be, built as far as they go, so that they can be drawn up to the fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from models.layers import Unbuildable, tolerant
from models.meta import on_meta
from models.registry import Architecture
from models.spec import NetSpec, unchecked


def draft(family: Architecture, values: Mapping[str, Any]) -> tuple[NetSpec, nn.Module]:
    """The Spec of values that it refuses, and on meta its network, with `Unbuildable` where that cannot go on.

    Where one tuple has more entries than another, the stages of which all have one are built, and no head. Raises
    whatever a builder makes of the values.
    """
    with on_meta(), unchecked(), tolerant():
        spec = family.spec.parse(values)
        described = spec.described()
        module = family.builder(described).eval()
    if described != spec:
        module.avgpool = Unbuildable(f"one of {', '.join(spec.per_stage)} has no entry for the next stage")
    return spec, module
