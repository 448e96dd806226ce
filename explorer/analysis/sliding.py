"""The ways to run a network with a square at each position: the whole of it, or only what the square can reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from explorer.analysis.incremental.engine import Incremental
from explorer.analysis.incremental.patches import Patch
from explorer.analysis.occluder import paint
from explorer.analysis.passes import Cancel, Passes, TracedPasses
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import first_tensor

Position = tuple[int, int]  # row and column on the grid of squares
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

    def batch_size(self) -> int:
        """How many positions are best run at a time."""
        ...

    def run(self, positions: Sequence[Position]) -> Iterator[Answer]:
        """Run them, in one pass or in several. Raises Cancelled."""
        ...


@dataclass(frozen=True, eq=False)
class FullSliding:
    """The whole network at each position."""

    network: Passes
    slide: Slide

    def batch_size(self) -> int:
        return self.network.batch_size(self.slide.image)

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

    @classmethod
    def of(cls, network: Passes, slide: Slide) -> IncrementalSliding:
        """Runs the image without a square. Raises Cancelled; UserError where the network has no graph for it."""
        if not isinstance(network, TracedPasses) or not _is_for_any_batch(network.program):
            raise UserError("method='incremental' needs a network that can be traced for any number of images.")
        image = network.laid_out(slide.image)
        return cls(Incremental.of(network.program, image, slide.squares, slide.cancel), slide)

    def batch_size(self) -> int:
        return self.engine.batch_size()

    def run(self, positions: Sequence[Position]) -> Iterator[Answer]:
        slide, capture = self.slide, [self.slide.layer] if self.slide.layer else []
        found = self.engine.forward(positions, slide.filling, capture, slide.cancel)
        yield found.output, self._sums(found.captured[capture[0]]) if capture else None, len(positions)

    def _sums(self, output: Any) -> Tensor:
        assert self.slide.layer is not None
        arranged = arrangement(self.engine.program.graph, self.slide.layer)
        if not isinstance(output, Patch):
            return sums(arranged.maps(first_tensor(output)))
        clean = sums(arranged.maps(output.clean))
        return clean + output.change().cpu() if output.clean.dim() == 4 else sums(arranged.maps(output.whole()))


def sums(maps: Tensor) -> Tensor:
    """The total activation of each map, [N, C], of maps [N, C, H, W]."""
    return maps.float().sum((2, 3)).cpu()


def _is_for_any_batch(program: TracedProgram) -> bool:
    return program.batch is None and not program.training
