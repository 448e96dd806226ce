"""What of some pictures excites each channel of some layers most, for a module and pictures that a person hands in."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explorer.analysis.inputs import ImageLike, as_input
from explorer.analysis.passes import Cancel, open_network, passes_of
from explorer.analysis.top_nine import TopNine
from explorer.analysis.top_nine_run import TopNineRun, scanned_layers, traced
from explorer.errors import ImageError, UserError
from explorer.images.ahead import ahead
from explorer.images.folder import pictures_in

OnPictures = Callable[[int, int, float], object]  # pictures seen, pictures in all, seconds left


@dataclass(frozen=True, eq=False)
class TopNines:
    """The nine pictures that excite each channel of some layers most.

    layers: by id, each with arrays [channels, 9] `values`, `pictures` (numbers), `rows` and `columns`, greatest first.
    names: of all pictures, by number; problems: why a picture was passed over, by name.
    """

    layers: Mapping[str, TopNine]
    names: tuple[str, ...]
    problems: Mapping[str, str]


def top_nines(
    module: nn.Module,
    pictures: str | Path | Sequence[ImageLike],
    layers: Sequence[str],
    batch_size: int | None = None,
    progress: OnPictures | None = None,
    cancel: Cancel | None = None,
) -> TopNines:
    """As `explorer.top_nine` has it. Raises TraceError, UnknownNameError, UserError, Cancelled."""
    names, given = _named(pictures)
    first = _first(module, names, given)
    channels, height, width = first.shape[1:]
    program = traced(open_network(module, (channels, height, width)))
    run, size = (
        TopNineRun(program, scanned_layers(program.graph, layers)),
        batch_size or passes_of(program).batch_size(first),
    )
    loaded = ahead(lambda number: _load(module, given[number], first), range(len(given)), 2 * size)
    problems = _run(run, loaded, len(given), min(size, len(given)), progress, cancel)
    return TopNines(run.top, names, {names[number]: problem for number, problem in problems.items()})


def _run(
    run: TopNineRun,
    loaded: Generator[Tensor | ImageError],
    total: int,
    size: int,
    progress: OnPictures | None,
    cancel: Cancel | None,
) -> dict[int, str]:
    """All pictures, in batches of one size; why some were passed over, by number."""
    started, seen, problems = time.monotonic(), 0, dict[int, str]()
    with closing(loaded):
        while batch := list(islice(loaded, size)):
            good = {number: each for number, each in enumerate(batch, seen) if isinstance(each, Tensor)}
            problems |= {number: str(each) for number, each in enumerate(batch, seen) if number not in good}
            if good:
                images = torch.cat(list(good.values()))
                blank = images.new_zeros(size - len(images), *images.shape[1:])
                run.look(torch.cat([images, blank]), np.array(list(good)), cancel)
            seen += len(batch)
            if progress is not None:
                progress(seen, total, (time.monotonic() - started) / seen * (total - seen))
    return problems


def _named(pictures: str | Path | Sequence[ImageLike]) -> tuple[tuple[str, ...], Sequence[ImageLike]]:
    """The pictures of a folder by their names in it; of a list paths by themselves, others by their number."""
    if isinstance(pictures, str | Path):
        files = pictures_in(Path(pictures))
        return tuple(file.name for file in files), [file.path for file in files]
    if not len(pictures):
        raise UserError("pictures is empty: a folder, or a list of images, is expected.")
    return tuple(str(each if isinstance(each, str | Path) else at) for at, each in enumerate(pictures)), pictures


def _first(module: nn.Module, names: Sequence[str], given: Sequence[ImageLike]) -> Tensor:
    """The first picture that can be opened, whose size is that of all. Raises UserError where none can."""
    problem = ""
    for each in given:
        try:
            return as_input(module, each).tensor
        except ImageError as error:
            problem = problem or str(error)
    raise UserError(f"None of the {len(names):,} pictures can be opened; the first: {problem}")


def _load(module: nn.Module, given: ImageLike, first: Tensor) -> Tensor:
    found = as_input(module, given).tensor
    if found.shape != first.shape:
        raise UserError(f"pictures differ in size: {list(found.shape[1:])} and {list(first.shape[1:])}.")
    return found
