"""The commands `list` and `describe`: what there is, and the structure of one network."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import models
from explorer.analysis.structure import Analysis
from explorer.cli.json_text import json_text
from explorer.figures.caveats import field_text, inexact_fields, uncounted_macs, weight_products
from explorer.networks import catalog
from explorer.receptive_field.report import Certainty, ReceptiveField
from explorer.run.device import format_bytes
from explorer.types import InputSize


def list_command(as_json: bool) -> None:
    """Every architecture with its year and presets."""
    found = [
        {"name": a.name, "title": a.title, "year": a.year, "paper": a.paper.url, "presets": list(a.presets)}
        for a in models.architectures()
    ]
    if as_json:
        print(json_text(found, indent=2))
        return
    for entry in found:
        print(f"{entry['year']}  {entry['title']:<16} {' '.join(entry['presets'])}")


def describe_command(name: str, knobs: list[tuple[str, str]], input_size: InputSize | None, as_json: bool) -> None:
    """Structure and figures of a network, on meta: nothing is allocated."""
    analysis = catalog.find(name, dict(knobs)).analysis(input_size)
    if as_json:
        print(json_text({"name": name, **as_data(analysis)}))
    else:
        print(_table(name, analysis))


def as_data(analysis: Analysis) -> dict[str, Any]:
    """An analysis as plain data, as `describe --json` prints it."""
    return {
        "params": analysis.params,
        "params_used": analysis.params_used,
        "macs": analysis.macs,
        "weight_macs": analysis.weight_macs,
        "activation_bytes": analysis.activation_bytes,
        "peak_bytes": analysis.peak_bytes,
        "weight_bytes": analysis.weight_bytes,
        "receptive_field": field_data(analysis.receptive_field),
        "local_receptive_field": field_data(analysis.local_receptive_field),
        "unknown": list(analysis.unknown),
        "bounded": list(analysis.bounded),
        "layers": [
            {
                "id": layer.id,
                "kind": layer.kind,
                "scope": layer.scope,
                "output_shape": list(layer.output_shape),
                "params": layer.params,
                "macs": layer.macs,
                "receptive_field": field_data(layer.receptive_field),
                "certainty": layer.certainty,
            }
            for layer in analysis.layers
        ],
    }


def field_data(field: ReceptiveField) -> dict[str, Any]:
    """A receptive field as plain data; strides and paddings that are no whole numbers become decimals."""
    return {
        "size": list(field.size),
        "stride": [_number(value) for value in field.stride],
        "padding": [_number(value) for value in field.padding],
        "is_global": field.is_global,
    }


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _table(name: str, analysis: Analysis) -> str:
    rows = [
        (layer.id, layer.kind, "×".join(map(str, layer.output_shape[1:])), f"{layer.params:,}",
         "unknown" if layer.macs is None else f"{layer.macs:,}", _field(layer.receptive_field, layer.certainty))
        for layer in analysis.layers
    ]  # fmt: skip
    rows.insert(0, ("layer", "kind", "output", "params", "MACs", "field"))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_summary(name, analysis)])


def _field(field: ReceptiveField, certainty: Certainty) -> str:
    return field_text("×".join(map(str, field.size)), certainty)


def _summary(name: str, analysis: Analysis) -> list[str]:
    field, local = analysis.receptive_field, analysis.local_receptive_field
    size, local_size = (_field(each, analysis[analysis.head_layer].certainty) for each in (field, local))
    lines = [
        f"{name}: {analysis.params:,} parameters ({format_bytes(analysis.weight_bytes)}), {analysis.macs:,} MACs",
        f"activations {format_bytes(analysis.activation_bytes)}, at once {format_bytes(analysis.peak_bytes)}",
        f"receptive field {size} px" + (" (the whole image)" if field.is_global else ""),
    ]
    if field.is_global and not local.is_global:
        lines.append(f"local receptive field, without gates, {local_size} px")
    if analysis.params_used != analysis.params:
        lines.append(f"{analysis.params - analysis.params_used:,} of the parameters are not used at inference")
    caveats = weight_products(analysis), uncounted_macs(analysis.uncounted), inexact_fields(analysis)
    return [*lines, *filter(None, caveats)]
