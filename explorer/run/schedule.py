"""In which order a traced program can be run: what has to run before what, and how long each value is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import fx

from explorer.graph.layers import Layer
from explorer.graph.trace import TracedProgram


@dataclass(frozen=True)
class Schedule:
    """What a program tells before it is run: the layer of each node, and what has to run before it."""

    layers: dict[fx.Node, Layer]
    dependencies: dict[fx.Node, list[fx.Node]]


_schedules: WeakKeyDictionary[TracedProgram, Schedule] = WeakKeyDictionary()


def schedule_of(program: TracedProgram) -> Schedule:
    """The schedule of a program, made at its first run."""
    if program not in _schedules:
        layers = {node: program.graph[name] for name, node in program.nodes.items()}
        _schedules[program] = Schedule(layers, _dependencies(program, layers))
    return _schedules[program]


def _dependencies(program: TracedProgram, layers: Mapping[fx.Node, Layer]) -> dict[fx.Node, list[fx.Node]]:
    """What has to run before each node: its inputs, and the last operation on their storage, which may have written
    into it (`F.relu_(x)` whose result nobody reads)."""
    last_on: dict[int, fx.Node] = {}
    found: dict[fx.Node, list[fx.Node]] = {}
    for node in program.program.nodes:
        inputs = list(node.all_input_nodes)
        held = [buffer.id for source in inputs if source in layers for buffer in layers[source].buffers]
        found[node] = inputs + [last_on[buffer] for buffer in held if buffer in last_on]
        if node in layers:
            last_on.update({buffer.id: node for buffer in layers[node].buffers})
    return found


def last_uses(order: list[fx.Node], given: set[fx.Node], keep: fx.Node) -> dict[fx.Node, list[fx.Node]]:
    """For each node the values that nothing reads after it."""
    last = {}
    for node in order:
        last[node] = node
        last.update(dict.fromkeys([] if node in given else node.all_input_nodes, node))
    del last[keep]
    found: dict[fx.Node, list[fx.Node]] = {}
    for node, reader in last.items():
        found.setdefault(reader, []).append(node)
    return found
