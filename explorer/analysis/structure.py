"""One call that tells all about a network's structure: graph, shapes, receptive fields and costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from explorer.analysis import cost
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.trace import TracedProgram, trace
from explorer.receptive_field.report import Certainty, LayerFields, ReceptiveField, head_layer, receptive_fields
from explorer.types import Shape


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer with its figures; macs is None where the operation is unknown.

    is_map: the output is of the form [N, C, H, W], its rows and columns those of the image. certainty: whether the
    fields are "exact", "bounded" (upper bounds), or "unknown" (taken to be the whole image).
    """

    id: str
    kind: str
    scope: str
    output_shape: Shape
    params: int
    macs: int | None
    activation_bytes: int
    receptive_field: ReceptiveField
    local_receptive_field: ReceptiveField
    is_map: bool
    certainty: Certainty


@dataclass(frozen=True, eq=False)
class Analysis:
    """The structure of a network on one input size, at batch 1.

    module: what was analysed (the program's may be another, which torch.export made of it). params: all that the module
    holds; params_used: those that the traced forward reads (auxiliary heads are silent at inference). weight_bytes:
    parameters and buffers as a state dict stores them. unknown: ids of the layers whose operation is in no table (their
    MACs are those of the products that torch's flop counter finds inside them, if any) or is called in a way that no
    rule foresees; their receptive field is an upper bound.
    """

    module: nn.Module
    program: TracedProgram
    layers: tuple[LayerReport, ...]
    params: int
    params_used: int
    macs: int
    activation_bytes: int
    peak_bytes: int
    weight_bytes: int
    receptive_field: ReceptiveField
    local_receptive_field: ReceptiveField
    head_layer: str
    unknown: tuple[str, ...]

    @property
    def bounded(self) -> tuple[str, ...]:
        """Ids of the layers whose receptive fields are upper bounds."""
        return tuple(layer.id for layer in self.layers if layer.certainty == "bounded")

    @property
    def not_followed(self) -> tuple[str, ...]:
        """Ids of the layers whose receptive fields are not known: they are taken to be the whole image."""
        return tuple(layer.id for layer in self.layers if layer.certainty == "unknown")

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Ids of the layers whose MACs are not known."""
        return tuple(layer.id for layer in self.layers if layer.macs is None)

    @property
    def weight_macs(self) -> int:
        """Multiply-accumulates of products of weights alone, which are in no layer, as they can be computed once."""
        return sum(cost.macs(layer) or 0 for layer in self.graph.weight_products)

    @property
    def graph(self) -> LayerGraph:
        return self.program.graph

    def __getitem__(self, layer_id: str) -> LayerReport:
        return self._by_id[layer_id]

    @cached_property
    def _by_id(self) -> dict[str, LayerReport]:
        return {layer.id: layer for layer in self.layers}


def analyze(
    module: nn.Module,
    input_size: tuple[int, int, int] = (3, 224, 224),
    *,
    training: bool = False,
    partial: bool = False,
) -> Analysis:
    """Trace any module that torch.fx or torch.export can trace, and work out all its figures.

    input_size: channels, height and width of the image. Nothing is allocated, on whatever device the weights are.
    `training` analyses the training forward (auxiliary heads, batch statistics). With `partial`, a network that cannot
    run is analysed up to the layer that fails. Raises TraceError.
    """
    return report(trace(module, input_size, training=training, partial=partial), module)


def report(program: TracedProgram, module: nn.Module) -> Analysis:
    """The figures of a traced program of `module`."""
    graph = program.graph
    fields = receptive_fields(graph)
    figures = cost.costs(graph)
    layers = tuple(
        LayerReport(
            layer.id, layer.kind, layer.scope, layer.output_shape, figures[layer.id].params, figures[layer.id].macs,
            figures[layer.id].activation_bytes, fields[layer.id].strict, fields[layer.id].local,
            fields[layer.id].is_map, fields[layer.id].certainty,
        )
        for layer in graph
    )  # fmt: skip
    head = head_layer(graph, fields)
    return Analysis(
        module=module,
        program=program,
        layers=layers,
        params=sum(p.numel() for p in module.parameters()),
        params_used=sum(layer.params for layer in layers),
        macs=sum(layer.macs or 0 for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers if layer.kind != "input"),
        peak_bytes=cost.peak_bytes(graph),
        weight_bytes=sum(_bytes(t) for t in module.state_dict(keep_vars=True).values()),
        receptive_field=fields[head].strict,
        local_receptive_field=fields[head].local,
        head_layer=head,
        unknown=tuple(layer.id for layer in graph if _is_unknown(layer, fields, figures)),
    )


def _is_unknown(layer: Layer, fields: dict[str, LayerFields], figures: dict[str, cost.Cost]) -> bool:
    return layer.kind == "unknown" or fields[layer.id].certainty == "unknown" or figures[layer.id].macs is None


def _bytes(value: Any) -> int:
    """Of a tensor; what else a module keeps in its state dict, as by `get_extra_state`, is no weight."""
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0
