"""The ways to run a network with a square at each position: the whole of it, or only what the square can reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor

from explorer.analysis.incremental.batches import Extents, Position, chunks, computed_shares
from explorer.analysis.incremental.cost import machine
from explorer.analysis.incremental.engine import Incremental, batch_size, reached_by
from explorer.analysis.incremental.patches import MapPatch
from explorer.analysis.incremental.reach import Region
from explorer.analysis.occluder import paint
from explorer.analysis.passes import Cancel, Passes, TracedPasses
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import first_tensor

Method = Literal["auto", "full", "incremental"]
CLEARLY = 0.9  # of the whole passes' time, so that an error of the model costs nothing
Answer = tuple[Any, Tensor | None, int]  # what the network returns, the sum of each map [N, C], how many images


@dataclass(frozen=True, eq=False)
class Slide:
    """What is slid over what: an image [1, C, H, W], squares [rows, columns, 4] as (top, left, bottom, right), what
    they show [1, C, H or 1, W or 1]; the layer whose maps are summed, if any; cancel is asked before every layer."""

    image: Tensor
    squares: np.ndarray
    filling: Tensor
    layer: str | None = None
    cancel: Cancel | None = None


class Sliding(Protocol):
    """A way to run the network with the square at given positions."""

    @property
    def held_bytes(self) -> int:
        """What it keeps from one run to the next."""
        ...

    def batches(self, levels: Sequence[Sequence[Position]], size: int | None) -> list[list[Position]]:
        """Which positions are run together, those of the first levels first; size: by default what is best here."""
        ...

    def largest(self, batches: Sequence[list[Position]]) -> list[Position]:
        """The batch for which most is computed."""
        ...

    def run(self, positions: Sequence[Position]) -> Iterator[Answer]:
        """Run them, in one pass or in several. Raises Cancelled."""
        ...


@dataclass(frozen=True, eq=False)
class FullSliding:
    """The whole network at each position."""

    network: Passes
    slide: Slide
    held_bytes: int = 0

    def largest(self, batches: Sequence[list[Position]]) -> list[Position]:
        return max(batches, key=len)

    def batches(self, levels: Sequence[Sequence[Position]], size: int | None) -> list[list[Position]]:
        return chunks(list(chain(*levels)), size or self.network.batch_size(self.slide.image))

    def run(self, positions: Sequence[Position]) -> Iterator[Answer]:
        slide = self.slide
        images = slide.image.repeat(len(positions), 1, 1, 1)
        for picture, position in zip(images, positions, strict=True):
            top, left, bottom, right = slide.squares[position].tolist()
            paint(picture, slide.filling, (top, left, bottom, right))
        for returned, maps, count in self.network.forward(images, slide.layer, slide.cancel):
            yield returned, None if maps is None else sums(maps), count


@dataclass(frozen=True, eq=False)
class IncrementalSliding:
    """At each position only what the square can reach; the rest is that of the image without a square."""

    engine: Incremental
    slide: Slide

    @property
    def held_bytes(self) -> int:
        return self.engine.held_bytes

    def largest(self, batches: Sequence[list[Position]]) -> list[Position]:
        return max(batches, key=Extents.of(self.engine.program.graph, self.engine.regions).work)

    def batches(self, levels: Sequence[Sequence[Position]], size: int | None) -> list[list[Position]]:
        return packed(self.engine.program, self.engine.regions, self.slide, levels, size)

    def run(self, positions: Sequence[Position]) -> Iterator[Answer]:
        slide, capture = self.slide, [self.slide.layer] if self.slide.layer else []
        found = self.engine.forward(positions, slide.filling, capture, slide.cancel)
        yield found.output, self._sums(found.captured[capture[0]]) if capture else None, len(positions)

    def _sums(self, output: Any) -> Tensor:
        assert self.slide.layer is not None
        arranged = arrangement(self.engine.program.graph, self.slide.layer)
        if not isinstance(output, MapPatch):
            return sums(arranged.maps(first_tensor(output)))
        clean = sums(arranged.maps(output.clean))
        return clean + output.change().cpu() if output.clean.dim() == 4 else sums(arranged.maps(output.whole()))


def sums(maps: Tensor) -> Tensor:
    """The total activation of each map, [N, C], of maps [N, C, H, W]."""
    return maps.float().sum((2, 3)).cpu()


def sliding(network: Passes, slide: Slide, levels: Sequence[Sequence[Position]], method: Method) -> Sliding:
    """The way of a method; "auto" takes the one that takes less by the cost model.

    Runs the image without a square for the incremental one. Raises Cancelled; UserError where the network has no graph
    that it could follow.
    """
    program = _followed(network, slide.image)
    if program is None and method == "incremental":
        raise UserError("method='incremental' needs a network that can be traced, in evaluation mode, for this image.")
    if program is None or method == "full" or (method == "auto" and not _is_faster(program, slide, levels)):
        return FullSliding(network, slide)
    image, capture = TracedPasses(program).laid_out(slide.image), [slide.layer] if slide.layer else []
    engine = Incremental.of(program, image, slide.squares, capture, slide.cancel)
    return IncrementalSliding(engine, slide) if engine.regions else FullSliding(network, slide)


def packed(
    program: TracedProgram,
    regions: Mapping[str, Region],
    slide: Slide,
    levels: Sequence[Sequence[Position]],
    size: int | None,
) -> list[list[Position]]:
    """Batches for the incremental way, level after level."""
    size = size or batch_size(program.graph, regions, slide.image.device, slide.image.element_size())
    extents = Extents.of(program.graph, regions)
    return [batch for level in levels for batch in extents.packed(level, size)]


def _is_faster(program: TracedProgram, slide: Slide, levels: Sequence[Sequence[Position]]) -> bool:
    """Whether the incremental way takes clearly less, its pass without a square included."""
    if slide.image.device.type != "cpu":
        return False  # a GPU is through with whole maps before it is told of each piece: 1.3 to 7 times slower (H200)
    regions = reached_by(program, slide.squares)
    if not regions:
        return False
    here, batches = machine(slide.image.device), packed(program, regions, slide, levels, None)
    full, partial = here.seconds(program.graph), here.seconds(program.graph, computed_shares(regions, batches))
    count = sum(map(len, levels))
    return full + count * partial < CLEARLY * count * full


def _followed(network: Passes, image: Tensor) -> TracedProgram | None:
    """The program of a network whose graph holds for a batch of such images, if there is one."""
    program = network.program if isinstance(network, TracedPasses) else None
    if program is None or program.batch is not None or program.training:
        return None
    return program if tuple(image.shape[1:]) == program.graph.layers[0].output_shape[1:] else None
