"""What of an analysis is no exact figure, in words: fields that are upper bounds or not known, MACs not counted."""

from __future__ import annotations

from explorer.analysis.structure import Analysis
from explorer.receptive_field.report import Certainty

_NAMED = 3


def field_text(size: str, certainty: Certainty) -> str:
    """A field's size as text, marked where it is an upper bound; "unknown" where it is not known."""
    return {"exact": size, "bounded": f"≤ {size}", "unknown": "unknown"}[certainty]


def uncounted_macs(names: tuple[str, ...]) -> str | None:
    """The sentence on layers whose MACs are not known; None where there are none."""
    return f"MACs not counted, because their operation is unknown: {', '.join(names)}" if names else None


def weight_products(analysis: Analysis) -> str | None:
    """The sentence on multiply-accumulates that are not counted, as the image has no part in them; None without any."""
    macs = analysis.weight_macs
    return f"products of weights alone: {macs:,} MACs, not counted, as they can be computed once" if macs else None


def inexact_fields(analysis: Analysis) -> str | None:
    """The sentence on layers whose receptive fields are upper bounds or not known; None where all are exact."""
    found = [(analysis.bounded, "upper bounds"), (analysis.not_followed, "not known")]
    parts = [f"{what} in {_layers(names)} ({_first(names)})" for names, what in found if names]
    return f"receptive fields are {', '.join(parts)}" if parts else None


def _layers(names: tuple[str, ...]) -> str:
    return "1 layer" if len(names) == 1 else f"{len(names)} layers"


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
