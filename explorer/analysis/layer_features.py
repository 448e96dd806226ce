"""What some layers answer to many images, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from explorer.analysis.passes import TracedPasses
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import first_tensor, run

OnImages = Callable[[int, int], object]  # how many images are done, and how many there are


def features_of(
    program: TracedProgram,
    images: Tensor,
    layers: Sequence[str],
    *,
    until: str | None = None,
    progress: OnImages | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Iterator[tuple[Any, Mapping[str, Tensor]]]:
    """For each batch of images [N, C, H, W]: what the network, or its layer `until`, returns, and the maps
    [n, C, H, W] of layers, by id."""
    passes, found = TracedPasses(program), {name: arrangement(program.graph, name) for name in layers}
    done = 0
    for batch in torch.split(images, passes.batch_size(images[:1])):
        with torch.inference_mode():  # not while the reader of a batch has its turn
            result = run(program, passes.laid_out(batch), capture=layers, until=until, cancel=cancel)
            maps = {name: how.maps(first_tensor(result.captured[name])) for name, how in found.items()}
        yield result.output, maps
        done += len(batch)
        if progress is not None:
            progress(done, len(images))


def pooled_features(
    program: TracedProgram,
    images: Tensor,
    layers: Sequence[str],
    *,
    progress: OnImages | None = None,
    cancel: Callable[[], bool] | None = None,
) -> dict[str, Tensor]:
    """The mean of each map over its positions, [N, C] of each layer, float64 on the CPU."""
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    for _, maps in features_of(program, images, layers, progress=progress, cancel=cancel):
        for name, found in maps.items():
            parts[name].append(found.double().mean((2, 3)).cpu())
    return {name: torch.cat(found) for name, found in parts.items()}
