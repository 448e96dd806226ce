"""The passes of a traced program over images that differ from a clean one in a square each."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from explorer.analysis.incremental.batches import MOST_OF_A_MAP
from explorer.analysis.incremental.cost import machine
from explorer.analysis.incremental.patches import Canvases, MapPatch, cut_out
from explorer.analysis.incremental.reach import WINDOWED, Region, cut_from, full_macs, regions
from explorer.analysis.incremental.rules import Wanted, averaged_whole, compute, margin
from explorer.analysis.incremental.spans import Span, Stretch
from explorer.analysis.passes import BATCH_BYTES, BATCH_IMAGES
from explorer.graph.layers import LayerGraph
from explorer.graph.trace import TracedProgram
from explorer.run.execute import Execution, OpCall, run

LAYER_SECONDS = 0.5  # a layer is never interrupted: one batch of it takes no longer


@dataclass(frozen=True, eq=False)
class Incremental:
    """A traced program, an image [1, C, H, W] whose activations are kept, and where squares lie on it.

    program: in evaluation mode, and for any number of images. squares: [rows, columns, 4] on a grid, all of one size,
    as (top, left, bottom, right). regions: where each row and column of squares reaches, by layer.
    """

    program: TracedProgram
    image: Tensor
    squares: np.ndarray
    regions: dict[str, Region]
    clean: dict[str, Any]
    canvases: Canvases

    @classmethod
    def of(
        cls,
        program: TracedProgram,
        image: Tensor,
        squares: np.ndarray,
        capture: Collection[str] = (),
        cancel: Callable[[], bool] | None = None,
    ) -> Incremental:
        """Run the clean image once, and keep of it what pieces are cut from later, and the layers in `capture`.

        Raises Cancelled, UserError as `run` does.
        """
        watch, whole = _Watch(), frozenset[str]()
        while True:
            reached = reached_by(program, squares, whole)
            kept = (cut_from(program.graph, reached) | reached.keys() & capture) - {program.graph.layers[0].id}
            rules = dict.fromkeys({layer.kind for layer in program.graph}, watch)
            clean = run(program, image, capture=kept, rules=rules, cancel=cancel).captured
            if not watch.overwritten - whole:
                break
            whole = frozenset(watch.overwritten)
        canvases = Canvases()
        return cls(
            program, image, squares, reached, watch.shapes | _padded(program.graph, reached, clean, canvases), canvases
        )

    @property
    def held_bytes(self) -> int:
        """What is kept of the clean image, in bytes."""
        kept = [leaf for leaf in pytree.tree_leaves((self.clean, self.canvases.made)) if not leaf.is_meta]
        return sum({leaf.untyped_storage().data_ptr(): leaf.untyped_storage().nbytes() for leaf in kept}.values())

    def forward(
        self,
        positions: Sequence[tuple[int, int]],
        filling: Tensor,
        capture: Collection[str] = (),
        cancel: Callable[[], bool] | None = None,
    ) -> Execution:
        """What the program returns for the image with a square at each position (row, column) of the grid.

        filling: what the squares show, [1, C, H or 1, W or 1]. capture: ids of layers whose output is wanted; it is a
        `MapPatch` where only a region was computed. Raises Cancelled.
        """
        rows, columns = np.array(positions).T
        batch = _Batch(self, rows, columns)
        start = self.program.graph.layers[0].id
        return run(
            self.program, None, start={start: batch.squares(filling)}, capture=capture,
            rules=dict.fromkeys({layer.kind for layer in self.program.graph} - {"input"}, batch), cancel=cancel,
        )  # fmt: skip


def reached_by(program: TracedProgram, squares: np.ndarray, whole: Collection[str] = ()) -> dict[str, Region]:
    """The regions that squares [rows, columns, 4] of a grid reach in an image of the size that the program was traced
    for; see `regions`."""
    height, width = program.graph.layers[0].output_shape[2:]
    rows = Span(squares[:, 0, 0], squares[:, 0, 2], height)
    return regions(program, rows, Span(squares[0, :, 1], squares[0, :, 3], width), whole)


def batch_size(graph: LayerGraph, reached: Mapping[str, Region], device: torch.device, value_bytes: int) -> int:
    """As many squares, from 1 to BATCH_IMAGES, as keep what one layer takes within LAYER_SECONDS and BATCH_BYTES."""
    shares = {name: region.largest_share for name, region in reached.items()}
    macs = max(full_macs(layer) * shares.get(layer.id, 1.0) for layer in graph)
    values = max(sum(map(prod, (*layer.input_shapes, *layer.outputs))) * shares.get(layer.id, 1.0) for layer in graph)
    by_macs = LAYER_SECONDS * machine(device).macs_per_s // max(1, macs)
    return int(max(1, min(BATCH_IMAGES, by_macs, BATCH_BYTES // (values * value_bytes))))


def _padded(
    graph: LayerGraph, reached: Mapping[str, Region], clean: dict[str, Any], canvases: Canvases
) -> dict[str, Any]:
    """The clean maps, each as a part of the padded one that a window reads it from; `clean` is emptied on the way."""
    found: dict[str, Any] = {}
    for name in list(clean):
        readers = [graph[reader] for reader in graph.consumers[name] if reader in reached]
        margins = [margin(reader) for reader in readers if reader.kind in WINDOWED]
        padded = next((each for each in margins if any(each[0])), None)
        whole = clean.pop(name)
        found[name] = canvases.inside(whole, *padded) if padded else whole
    return found


class _Batch:
    """The rule of all layers for one batch of squares, given by their rows and columns on the grid."""

    def __init__(self, owner: Incremental, rows: np.ndarray, columns: np.ndarray) -> None:
        self.owner, self.rows, self.columns = owner, rows, columns

    def squares(self, filling: Tensor) -> MapPatch:
        """The images: the clean one, and what the squares show."""
        boxes, image = self.owner.squares[self.rows, self.columns], self.owner.image
        height, width = boxes[0, 2:] - boxes[0, :2]
        rows, columns = Stretch(boxes[:, 0], int(height)), Stretch(boxes[:, 1], int(width))
        values = cut_out(filling.expand_as(image), rows, columns, (2, 3))
        return MapPatch(values, image, rows, columns)

    def __call__(self, call: OpCall) -> Any:
        region = self.owner.regions.get(call.layer.id)
        if region is None:
            mean = averaged_whole(call)
            return _whole(call) if mean is None else mean
        wanted, dims = self._wanted(region), region.dims

        def patch(values: Tensor, clean: Tensor) -> MapPatch:
            if wanted is None:
                return MapPatch.of_whole(values, clean, dims)
            return MapPatch(values, clean, wanted.rows, wanted.columns, dims)

        values = _whole(call) if wanted is None else compute(call, wanted)
        return pytree.tree_map(patch, values, self.owner.clean[call.layer.id])

    def _wanted(self, region: Region) -> Wanted | None:
        """Where the batch reaches in the output of a layer; None where that is most of the map."""
        rows, columns = Stretch.of(region.rows, self.rows), Stretch.of(region.columns, self.columns)
        share = rows.length * columns.length / (region.rows.size * region.columns.size)
        return None if share >= MOST_OF_A_MAP else Wanted(rows, columns, region.dims, self.owner.canvases)


def _whole(call: OpCall) -> Any:
    return call.perform(*pytree.tree_map_only(MapPatch, MapPatch.whole, (call.args, call.kwargs)))


class _Watch:
    """A rule that notes the shapes of the outputs, and the layers whose output is read again after another layer wrote
    into it: their clean map is not what the later reader finds."""

    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}
        self.overwritten: set[str] = set()
        self._made: dict[str, list[tuple[weakref.ref[Tensor], int]]] = {}

    def __call__(self, call: OpCall) -> Any:
        self.overwritten |= {name for name in call.layer.inputs if self._is_overwritten(name)}
        found = call.default()
        leaves = [leaf for leaf in pytree.tree_leaves(found) if isinstance(leaf, Tensor)]
        self._made[call.layer.id] = [(weakref.ref(leaf), leaf._version) for leaf in leaves]
        self.shapes[call.layer.id] = pytree.tree_map_only(Tensor, lambda leaf: leaf.to("meta"), found)
        return found

    def _is_overwritten(self, name: str) -> bool:
        made = [(made(), version) for made, version in self._made.get(name, ())]
        return any(tensor is not None and tensor._version != version for tensor, version in made)
