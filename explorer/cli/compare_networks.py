"""Whole networks side by side on the command line, as in the Compare view: figures, and the layers that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explorer.analysis.alignment import Alignment, Fate, align
from explorer.analysis.structure import Analysis
from explorer.cli.describe import as_data
from explorer.cli.json_text import json_text
from explorer.errors import UserError
from explorer.figures import comparison
from explorer.networks import catalog
from explorer.networks.knob_text import encode_knob, shorten
from explorer.networks.variants import decode_variant
from explorer.types import InputSize

OWN_FATES: tuple[Fate, ...] = ("changed", "added", "removed")
EDITED = "!"  # in the text of an edited network, as links have it: resnet50!k.depths=3,4,9,3


@dataclass(frozen=True, eq=False)
class ComparedNetwork:
    """One network by the name that was typed; its layers beside the reference's, None for the reference itself."""

    name: str
    analysis: Analysis
    beside: Alignment | None


def compare_networks(names: Sequence[str], input_size: InputSize | None, as_json: bool) -> None:
    """Print each network beside the first: its figures, and the layers that were changed, added or removed.

    Raises UserError (one name alone, a network that is not there), SpecError, TraceError.
    """
    if len(names) < 2:
        raise UserError(f"{names[0]!r} alone cannot be compared: name two networks or more.")
    first, *others = ((name, _analysis(name, input_size)) for name in names)
    found = [ComparedNetwork(*first, None)]
    found += [ComparedNetwork(name, one, align(first[1].graph, one.graph)) for name, one in others]
    print(json_text(_data(found)) if as_json else "\n".join(_text(found)))


def _analysis(name: str, input_size: InputSize | None) -> Analysis:
    if EDITED not in name:
        return catalog.find(name).analysis(input_size)
    try:
        variant = decode_variant(name)
    except UserError as error:
        said = f"{shorten(name)} {error}"
        raise UserError(said if said.endswith("?") else f"{said}.") from None
    knobs = {knob: encode_knob(value) for knob, value in variant.knobs.items()}
    return catalog.find(variant.preset, knobs).analysis(input_size)


def _rows(reference: ComparedNetwork, other: ComparedNetwork) -> list[dict[str, Any]]:
    assert other.beside
    return comparison.table(other.beside, reference.analysis, other.analysis, OWN_FATES)


# -- as data ----------------------------------------------------------------------------------------------------------


def _data(found: list[ComparedNetwork]) -> dict[str, Any]:
    reference, *others = found
    return {
        "networks": [{"name": one.name, **_figures(one.analysis)} for one in found],
        "differences": [
            {"reference": reference.name, "other": one.name, "counts": one.beside and one.beside.counts,
             "layers": _rows(reference, one)}
            for one in others
        ],
    }  # fmt: skip


def _figures(analysis: Analysis) -> dict[str, Any]:
    return {name: value for name, value in as_data(analysis).items() if name != "layers"}


# -- as text ----------------------------------------------------------------------------------------------------------


def _text(found: list[ComparedNetwork]) -> list[str]:
    reference, *others = found
    titles = ["", *(figure.name for figure in comparison.figures(reference.analysis, reference.analysis))]
    lines = _aligned([list(row) for row in zip(titles, *(_column(reference, one) for one in found), strict=True)])
    for other in others:
        assert other.beside
        lines += ["", f"{other.name} beside {reference.name}: {comparison.summary(other.beside)}"]
        lines += _layers(_rows(reference, other))
    return lines


def _column(reference: ComparedNetwork, one: ComparedNetwork) -> list[str]:
    """A column of the table: the name, then each figure with its difference from the reference's."""
    figures = comparison.figures(one.analysis, reference.analysis)
    return [one.name, *(" ".join(filter(None, (figure.text, figure.difference))) for figure in figures)]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _layers(rows: list[dict[str, Any]]) -> list[str]:
    """The layers that differ, with the parameters and multiply-accumulates that each brings or saves."""
    if not rows:
        return []
    head = ["fate", "layer", "what differs", "parameters", "MACs"]
    cells = [
        [row["fate"], row["other"] or row["reference"], row["change"], f"{row['params difference']:+,}",
         f"{row['macs difference']:+,}"]
        for row in rows
    ]  # fmt: skip
    return [f"  {line}" for line in _aligned([head, *cells])]
