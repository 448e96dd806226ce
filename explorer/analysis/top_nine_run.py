"""Batches of pictures through a network, and what of them excites each channel of some layers most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from explorer.analysis.passes import Cancel, Runnable, TracedPasses
from explorer.analysis.top_nine import TopNine
from explorer.errors import UserError
from explorer.graph import ops
from explorer.graph.layers import LayerGraph
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement, arrangements
from explorer.run.execute import OpCall, Rule, first_tensor, run
from explorer.run.plain import PlainNetwork

MapsReader = Callable[[Tensor], None]  # is shown the maps of a layer, [N, channels, rows, columns]


def layers_with_units(graph: LayerGraph) -> tuple[str, ...]:
    """The layers whose channels one looks at first: every activation, and the values of the classes. By id, in order.

    Raises UserError where there are none.
    """
    known = arrangements(graph)
    found = [layer.id for layer in graph if layer.kind in ops.ACTIVATIONS or layer.id in graph.outputs]
    if not (names := tuple(name for name in found if name in known)):
        raise UserError("The network has no layer of feature maps to scan.")
    return names


def scanned_layers(graph: LayerGraph, names: Sequence[str]) -> tuple[str, ...]:
    """The ids of layers given by id or module, each once, in the network's order; of "all", those that have maps.

    Raises UnknownNameError, and UserError for a layer without maps.
    """
    known = arrangements(graph)
    if list(names) == ["all"]:
        found = {layer.id for layer in graph if layer.id in known and layer.kind != "input"}
    else:
        found = {find_layer(graph, name).id for name in names}
    for name in found:
        arrangement(graph, name)
    return tuple(layer.id for layer in graph if layer.id in found)


class TopNineRun:
    """The nine strongest so far of each channel of some layers. layers: their ids. Raises UserError.

    top: by layer; goes on from what it is given.
    """

    def __init__(self, network: Runnable, layers: Sequence[str], top: Mapping[str, TopNine] | None = None) -> None:
        self.program, self.layers = traced(network), tuple(layers)
        self.top = dict(top or {name: TopNine.empty(channels_of(self.program.graph, name)) for name in self.layers})

    def look(self, images: Tensor, numbers: np.ndarray, cancel: Cancel | None = None) -> None:
        """Take in images [N, C, H, W]. numbers: of the first of them in their set, none twice; the others are passed
        over.

        A batch that is filled up in this way gives each picture the very values that it has among others: how torch
        adds up depends on how many there are. Raises Cancelled.
        """
        before = dict(self.top)
        try:
            for start, part in _parts(self.program, images):
                mine = numbers[start : start + len(part)]
                readers = {name: self._reader(name, mine) for name in self.layers}
                read_maps(self.program, part, readers, cancel)
        except BaseException:
            self.top = before
            raise

    def _reader(self, layer: str, numbers: np.ndarray) -> MapsReader:
        def read(maps: Tensor) -> None:
            self.top[layer] = _raised(self.top[layer], maps[: len(numbers)], numbers)

        return read


def _raised(top: TopNine, maps: Tensor, numbers: np.ndarray) -> TopNine:
    """With new maps [N, channels, rows, columns], of the channels for which one of these is among the nine."""
    values, places = _greatest(maps)
    ninth, last = top.values[:, -1], top.pictures[:, -1]
    channels = ((values > ninth) | ((values == ninth) & (numbers[:, None] < last))).any(0)
    if not channels.any():
        return top
    new = top.of(channels).with_maxima(values[:, channels], places[:, channels], numbers, maps.shape[3])
    return top.replaced(channels, new)


def _greatest(maps: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The greatest value of each map [N, channels, rows, columns], and the first row × columns + column that has it."""
    if maps.device.type == "cpu" and maps.is_floating_point():  # `max` is slow on channels last
        values, places = functional.adaptive_max_pool2d(maps, 1, return_indices=True)
    else:
        values, places = maps.flatten(2).max(2)
    return values.flatten(1).float().cpu().numpy(), places.flatten(1).cpu().numpy().astype(np.int32)


def maxima(
    network: Runnable, images: Tensor, layers: Sequence[str], cancel: Cancel | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Of each image and channel the greatest value and its row × columns + column, [N, channels] each, and columns.

    By layer, as `TopNine.of_maxima` takes them. Raises UserError, Cancelled.
    """
    program = traced(network)
    found = dict[str, list[tuple[np.ndarray, np.ndarray, int]]]()

    def reader(layer: str) -> MapsReader:
        def read(maps: Tensor) -> None:
            found.setdefault(layer, []).append((*_greatest(maps), maps.shape[3]))

        return read

    for _, part in _parts(program, images):
        read_maps(program, part, {name: reader(name) for name in layers}, cancel)
    return {
        name: (np.concatenate([v for v, _, _ in parts]), np.concatenate([p for _, p, _ in parts]), parts[0][2])
        for name, parts in found.items()
    }


def read_maps(
    program: TracedProgram, images: Tensor, readers: Mapping[str, MapsReader], cancel: Cancel | None = None
) -> None:
    """Run images [N, C, H, W], and show each reader the maps of its layer when they are there: none are kept.

    What no reader's layer needs is not run.
    """
    graph = program.graph
    last, others = _ends(graph, readers)
    rules = {name: _shown(arrangement(graph, name).maps, read) for name, read in readers.items()}
    run(program, TracedPasses(program).laid_out(images), until=last, capture=others, rules=rules, cancel=cancel)


def _shown(maps_of: Callable[[Tensor], Tensor], read: MapsReader) -> Rule:
    def rule(call: OpCall) -> Any:
        output = call.default()
        read(maps_of(first_tensor(output)))
        return output

    return rule


def _ends(graph: LayerGraph, wanted: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The last of the wanted layers, and those of the others that nothing wanted is computed from."""
    found, queue = set[str](), list(wanted)
    while queue:
        new = set(graph[queue.pop()].inputs) - found
        found |= new
        queue.extend(new)
    *others, last = [layer.id for layer in graph if layer.id in wanted and layer.id not in found]
    return last, others


def _parts(program: TracedProgram, images: Tensor) -> Iterator[tuple[int, Tensor]]:
    """As many images at a time as the program takes, with the number of the first."""
    size = program.batch or len(images)
    yield from ((start, images[start : start + size]) for start in range(0, len(images), size))


def channels_of(graph: LayerGraph, layer: str) -> int:
    """How many channels a layer's maps have. Raises UserError where it has none."""
    return arrangement(graph, layer).channels(graph[layer].output_shape)


def traced(network: Runnable) -> TracedProgram:
    """The network, whose layers are known. Raises UserError where it could not be traced."""
    if isinstance(network, PlainNetwork):
        raise UserError("The network cannot be traced, and without its layers there are no maps to scan.")
    return network
