"""An analysed network as compact JSON for the interactive graph: outline, edges, what each node says, its figures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from explorer.analysis.structure import Analysis
from explorer.analysis.unproductive import OutgrownImage
from explorer.figures import layer_words
from explorer.graph.layers import Layer
from explorer.graph.outline import FAILED, Entry, LayerOutline, outline

MARKS = ("added", "removed", "changed", "failed")
_ROLES = ("layer", "unit", "group", "repeat")


@dataclass
class _Table:
    """Values by number, each kept once."""

    values: list[Any] = field(default_factory=list[Any])
    place: dict[Hashable, int] = field(default_factory=dict[Hashable, int])

    def number(self, value: Hashable) -> int:
        if value not in self.place:
            self.place[value] = len(self.values)
            self.values.append(value)
        return self.place[value]


def graph_payload(
    analysis: Analysis,
    *,
    title: str = "",
    marks: Mapping[str, str] | None = None,
    outgrown: OutgrownImage | None = None,
) -> dict[str, Any]:
    """What the graph component draws, as JSON of numbers, short texts and tables of them.

    title: the network's name. marks: layer id → "added", "removed", "changed" or "failed". outgrown: which layers are
    marked as too large for the picture. Layers stand in the order of
    the outline; `layers` holds a column per figure, in parameters, multiply-accumulates, bytes and pixels (height of
    the receptive field), with None where it is not known or the whole image; shapes are without the batch.
    """
    found = outline(analysis.graph)
    return {
        "version": 1,
        "title": title,
        "failure": analysis.graph.failure.reason if analysis.graph.failure else "",
        "layers": _layers(analysis, found),
        "entries": _entries(found, analysis.graph.scopes),
        "edges": [[source for source, _ in found.edges], [target for _, target in found.edges]],
        "outgrown": _outgrown(found, outgrown) if outgrown else {},
        "marks": {layer.id: mark for layer in found.order if (mark := _mark(layer, marks or {}))},
    }


def _mark(layer: Layer, marks: Mapping[str, str]) -> str:
    return FAILED if layer.kind == FAILED else marks.get(layer.id, "")


def _outgrown(found: LayerOutline, outgrown: OutgrownImage) -> dict[str, list[int]]:
    """The numbers of the layers of each kind of excess; those that are unproductive are not named twice."""
    unproductive = set(outgrown.unproductive)
    exceeding = set(outgrown.exceeding) - unproductive
    return {
        kind: [i for i, layer in enumerate(found.order) if layer.id in names]
        for kind, names in (("exceeding", exceeding), ("unproductive", unproductive))
    }


def _layers(analysis: Analysis, found: LayerOutline) -> dict[str, Any]:
    kinds, texts, shapes = _Table(), _Table(), _Table()
    reports = {report.id: report for report in analysis.layers}
    rows = [reports.get(layer.id) for layer in found.order]
    return {
        "id": [layer.id for layer in found.order],
        "kind": [kinds.number(layer.kind) for layer in found.order],
        "text": [texts.number(_text(layer, analysis)) for layer in found.order],
        "shape": [shapes.number(layer.output_shape[1:]) for layer in found.order],
        "params": [row.params if row else 0 for row in rows],
        "macs": [row.macs if row else None for row in rows],
        "bytes": [row.activation_bytes if row else 0 for row in rows],
        "field": [
            None if row is None or row.receptive_field.is_global else row.receptive_field.size[0] for row in rows
        ],
        "kinds": kinds.values,
        "texts": texts.values,
        "shapes": shapes.values,
    }


def _entries(found: LayerOutline, scopes: Mapping[str, str]) -> dict[str, Any]:
    classes = _Table()
    entries = found.entries
    return {
        "role": [_ROLES.index(entry.role) for entry in entries],
        "parent": [entry.parent for entry in entries],
        "start": [entry.start for entry in entries],
        "stop": [entry.stop for entry in entries],
        "main": [entry.main for entry in entries],
        "title": [entry.title for entry in entries],
        "class": [classes.number(_class(entry, scopes)) for entry in entries],
        "repeats": {i: [entry.times, entry.period] for i, entry in enumerate(entries) if entry.role == "repeat"},
        "classes": classes.values,
    }


def _class(entry: Entry, scopes: Mapping[str, str]) -> str:
    return scopes.get(entry.path, "") if entry.role == "group" else ""


def _text(layer: Layer, analysis: Analysis) -> str:
    if layer.kind != FAILED:
        return operation(layer)
    path = analysis.graph.failure.path if analysis.graph.failure else ""
    return f"{type(analysis.module.get_submodule(path)).__name__} cannot run"


def operation(layer: Layer) -> str:
    """What a layer does in the field's words: conv 7×7 /2, depthwise 3×3, max pool 3×3 /2."""
    name = layer.kind.replace("adaptive_", "").replace("_", " ")
    if layer.kind == "unknown":
        return layer.op
    if layer.window is None:
        return name
    spread = layer.window.dilation
    dilation = "" if spread == (1, 1) else f" dilated {spread[0]}" if spread[0] == spread[1] else f" dilated {spread}"
    return f"{layer_words.operation(_grouped(layer, name), layer.window)}{dilation}"


def _grouped(layer: Layer, name: str) -> str:
    (groups,) = layer.numbers("groups") or (1,)
    if groups == 1 or layer.kind != "conv":
        return name
    return "depthwise" if groups == layer.input_shapes[0][1] else f"conv in {groups} groups"
