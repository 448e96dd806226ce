"""Parts that are switched off as text, for links: `layer2.0.add~layer1;features.3!0,5`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from explorer.analysis.ablation import Ablation
from explorer.errors import UserError

_BRANCH, _CHANNELS, _NEXT = "~", "!", ";"


def encode_ablations(ablations: Iterable[Ablation]) -> str:
    """The text of ablations, in their order."""
    entries: list[str] = []
    for each in ablations:
        entries += [f"{each.layer}{_BRANCH}{branch}" for branch in each.branches]
        if each.channels:
            entries.append(f"{each.layer}{_CHANNELS}{','.join(map(str, each.channels))}")
    return _NEXT.join(entries)


def decode_ablations(text: str) -> tuple[Ablation, ...]:
    """The ablations of a text, one for each layer. Raises UserError with half a sentence."""
    found: dict[str, Ablation] = {}
    for entry in filter(None, text.split(_NEXT)):
        layer, branch, channels = _parts(entry)
        known = found.get(layer, Ablation(layer))
        found[layer] = Ablation(layer, _once(known.channels + channels), _once(known.branches + branch))
    return tuple(found.values())


def _parts(entry: str) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
    layer, mark, branch = entry.partition(_BRANCH)
    if mark and layer and branch:
        return layer, (branch,), ()
    layer, mark, numbers = entry.partition(_CHANNELS)
    each = numbers.split(",")
    if not (mark and layer) or not all(number.isascii() and number.isdigit() and len(number) <= 6 for number in each):
        raise UserError(f"has {entry[:40]!r}, which is no layer with a branch or channels")
    return layer, (), tuple(map(int, each))


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
