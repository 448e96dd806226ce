"""What a network does without a part of itself: channels, a branch of a join or a skip connection switched off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from explorer.analysis.passes import Cancel
from explorer.errors import UserError, listed
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import Execution, OpCall, Rule, run

# What a join does as if an input were not there: nothing is added or kept of it; a product is by one.
_NEUTRAL = {"add": 0.0, "sub": 0.0, "concat": 0.0, "stack": 0.0, "mul": 1.0}


@dataclass(frozen=True)
class Ablation:
    """What of a layer is switched off. channels: of its output, which become 0; branches: ids of layers that it joins,
    each of which counts as absent: 0 in a sum or a concat, 1 in a product (a gate that is open)."""

    layer: str
    channels: tuple[int, ...] = ()
    branches: tuple[str, ...] = ()


def run_ablated(
    program: TracedProgram,
    images: Tensor,
    ablations: Sequence[Ablation],
    *,
    capture: Collection[str] = (),
    cancel: Cancel | None = None,
) -> Execution:
    """Run images [N, C, H, W] without the parts that are switched off; arguments and errors as of `execute.run`.

    Raises UserError too: a channel or branch that a layer does not have, a layer without channels.
    """
    return run(program, images, capture=capture, rules=ablation_rules(program, ablations), cancel=cancel)


def ablation_rules(program: TracedProgram, ablations: Sequence[Ablation]) -> dict[str, Rule]:
    """The ablations as rules of the executor, by layer id. Raises UserError, UnknownNameError."""
    together: dict[str, Ablation] = {}
    for each in ablations:
        name = find_layer(program.graph, each.layer).id
        known = together.get(name, Ablation(name))
        together[name] = Ablation(name, known.channels + each.channels, known.branches + each.branches)
    return {name: _rule(program, ablation) for name, ablation in together.items()}


def branches_of(layer: Layer) -> tuple[str, ...]:
    """The ids of the layers that a join joins; empty for a layer that is no join."""
    inputs = tuple(dict.fromkeys(layer.inputs))
    return inputs if layer.kind in _NEUTRAL and len(inputs) > 1 else ()


def skip_of(graph: LayerGraph, layer: str) -> str | None:
    """Which branch of an add is the skip connection: the one that fewer layers are on; None where that does not tell.

    A skip may have layers of its own, as the projection of a ResNet.
    """
    branches = branches_of(graph[layer]) if graph[layer].kind == "add" else ()
    before = {branch: _ancestors(graph, branch) for branch in branches}
    own: dict[str, int] = {}
    for branch, reached in before.items():
        others = [found for other, found in before.items() if other != branch]
        own[branch] = len(reached.difference(*others))
    shortest = [branch for branch, count in own.items() if count == min(own.values())]
    return shortest[0] if len(shortest) == 1 else None


def _ancestors(graph: LayerGraph, layer: str) -> set[str]:
    """A layer and all that it depends on."""
    found, queue = set[str](), [layer]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue.extend(graph[name].inputs)
    return found


# -- rules ------------------------------------------------------------------------------------------------------------


def _rule(program: TracedProgram, ablation: Ablation) -> Rule:
    layer = program.graph[ablation.layer]
    axis = _axis_of_channels(program.graph, layer, ablation.channels)
    _check_branches(layer, ablation.branches)
    names = {node: name for name, node in program.nodes.items()}

    def execute(call: OpCall) -> Any:
        target, version = call.args[0] if call.args else None, _version(call)
        output = _without_branches(call, ablation.branches, names) if ablation.branches else call.default()
        if axis is None:
            return output
        off = torch.tensor(ablation.channels, device=output.device)
        # What others read of the same storage is to see it where the layer writes into its input, and else is not.
        writes = isinstance(target, Tensor) and target._version != version
        return output.index_fill_(axis, off, 0) if writes else output.index_fill(axis, off, 0)

    return execute


def _axis_of_channels(graph: LayerGraph, layer: Layer, channels: tuple[int, ...]) -> int | None:
    """The dimension of the output that counts channels; None where none is switched off. Raises UserError."""
    if not channels:
        return None
    axis = arrangement(graph, layer.id).axes.index("C")
    count = layer.output_shape[axis]
    if wrong := [channel for channel in channels if not 0 <= channel < count]:
        raise UserError(f"channels={listed(wrong)}: layer {layer.id!r} has channels 0 to {count - 1}.")
    return axis


def _check_branches(layer: Layer, branches: tuple[str, ...]) -> None:
    there = branches_of(layer)
    for branch in branches:
        if branch not in there:
            said = f"joins {listed(there)}" if there else "joins nothing"
            raise UserError(f"branches={branch!r}: layer {layer.id!r} {said}.")


def _version(call: OpCall) -> int | None:
    """How often the first argument was written into so far; None where it is no tensor."""
    return call.args[0]._version if call.args and isinstance(call.args[0], Tensor) else None


def _without_branches(call: OpCall, branches: tuple[str, ...], names: Mapping[fx.Node, str]) -> Any:
    """A join with neutral values in the place of some of its inputs; one in place still writes into its first."""
    neutral = _NEUTRAL[call.layer.kind]
    nodes, spec = pytree.tree_flatten((tuple(call.node.args), dict(call.node.kwargs)))
    values = spec.flatten_up_to((tuple(call.args), dict(call.kwargs)))
    given = list(values)
    for place, (node, value) in enumerate(zip(nodes, given, strict=True)):
        if isinstance(node, fx.Node) and isinstance(value, Tensor) and _source(node, names) in branches:
            values[place] = torch.full_like(value, neutral)
    stand_in = values[0] if values[0] is not given[0] else None
    before = None if stand_in is None else stand_in._version
    args, kwargs = pytree.tree_unflatten(values, spec)
    output = call.perform(args, kwargs)
    return given[0].copy_(output) if stand_in is not None and stand_in._version != before else output


def _source(node: fx.Node, names: Mapping[fx.Node, str]) -> str | None:
    """The layer that a value comes from, through operations that are none, as taking one output of several."""
    while node not in names and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return names.get(node)
