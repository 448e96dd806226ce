"""The command that sets blocks side by side on one input, with equal MACs or parameters if wanted; or networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import models
from explorer.analysis.structure import Analysis, analyze
from explorer.cli.compare_networks import compare_networks
from explorer.cli.describe import as_data
from explorer.cli.json_text import json_text
from explorer.errors import UserError
from explorer.networks import budget
from explorer.networks.budget import Match
from explorer.networks.knob_text import plain
from explorer.run.device import format_bytes
from explorer.types import InputSize
from models.spec import Spec

ROWS = ("", "parameters", "MACs", "activations", "receptive field", "without gates", "output")


@dataclass(frozen=True)
class Compared:
    """One block with its figures; `match` where a knob was changed for the budget."""

    name: str
    spec: Spec
    analysis: Analysis
    match: Match | None


def compare_command(names: list[str], match: str | None, input_size: InputSize | None, as_json: bool) -> None:
    """Each block as it stands in a slot of a network that keeps the channels; with `match`, as dear as the first.

    Whole networks beside the first of them. Raises UserError where the names are of both kinds.
    """
    if not any(map(_is_block, names)):
        if match:
            raise UserError(f"--match {match} changes blocks only; {names[0]} is a network.")
        compare_networks(names, input_size, as_json)
        return
    blocks = [_block(name) for name in names]
    size = input_size or blocks[0].input_size
    found: list[Compared] = []
    for name, block in zip(names, blocks, strict=True):
        spec, solved = budget.in_slot(block, size[0]), None
        if match and found:
            solved = budget.match(spec, size, match, getattr(found[0].analysis, match))
            spec = solved.spec
        found.append(Compared(name, spec, analyze(models.build(spec, device="meta"), size), solved))
    print(json_text(_data(found, size)) if as_json else "\n".join(_text(found, size)))


def _is_block(name: str) -> bool:
    return name.startswith("block:")


def _block(name: str) -> models.Block:
    if not _is_block(name):
        raise UserError(f"{name!r} is not block:NAME: blocks are compared with blocks.")
    return models.block(name.removeprefix("block:"))


def _data(found: list[Compared], size: InputSize) -> dict[str, Any]:
    return {"input": list(size), "blocks": [_block_data(one) for one in found]}


def _block_data(one: Compared) -> dict[str, Any]:
    figures = {name: value for name, value in as_data(one.analysis).items() if name != "layers"}
    solved = one.match and {
        "knob": one.match.knob, "figure": one.match.figure, "wanted": one.match.wanted, "found": one.match.found,
        "within": one.match.is_close,
    }  # fmt: skip
    output = list(one.analysis.layers[-1].output_shape)
    return {"name": one.name, "knobs": plain(one.spec), **figures, "output_shape": output, "match": solved}


def _text(found: list[Compared], size: InputSize) -> list[str]:
    columns = [ROWS, *(_column(one) for one in found)]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
    told = [f"{one.name}: {one.match.sentence()}" for one in found if one.match]
    return [f"input {'×'.join(map(str, size))}", "", *lines, *([""] if told else []), *told]


def _column(one: Compared) -> tuple[str, ...]:
    figures, field, local = one.analysis, one.analysis.receptive_field, one.analysis.local_receptive_field
    return (
        one.name, f"{figures.params:,}", f"{figures.macs:,}", format_bytes(figures.activation_bytes),
        "the whole map" if field.is_global else _times(field.size),
        "the whole map" if local.is_global else _times(local.size), _times(figures.layers[-1].output_shape[1:]),
    )  # fmt: skip


def _times(values: tuple[int, ...]) -> str:
    return "×".join(map(str, values))
