"""What networks are trained and judged on: cached pictures of the procedural set, and light augmentation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from explorer.errors import Cancelled
from explorer.training import dataset, drawing
from explorer.training.processes import in_processes
from explorer.whole_file import write_whole

EVALUATION_SEED = 1_000_000  # picture seed of the unseen items: training refuses seeds from here on
EVALUATION_ITEMS = 2_000
_CHUNK = 128


@dataclass(frozen=True)
class Labelled:
    """Pictures uint8 [N, 3, H, W] and their labels int64 [N]."""

    images: Tensor
    labels: Tensor


def labelled_pictures(
    seed: int,
    count: int,
    size_px: int,
    folder: Path,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Labelled:
    """Items 0 … count-1 of the set `seed`, `size_px` square, drawn once and kept in `folder`; anew if damaged there.

    `workers` processes draw (default: one a core; a script that calls this needs the usual guard of `__main__`);
    `progress` hears how many items are done. Raises Cancelled.
    """
    path = folder / f"{seed}-{count}-{size_px}px-{drawing_version()}.safetensors"
    if kept := _kept(path):
        return kept
    drawn = list(_draw(seed, count, size_px, workers or os.cpu_count() or 1, progress, cancel))
    tensors = {"images": torch.cat([i for i, _ in drawn]), "labels": torch.cat([n for _, n in drawn])}
    write_whole(path, lambda draft: save_file(tensors, draft))
    return Labelled(**tensors)


def _kept(path: Path) -> Labelled | None:
    """What was drawn before; None where nothing was, or where the file is damaged."""
    try:
        found = load_file(path)
        return Labelled(found["images"], found["labels"])
    except (FileNotFoundError, SafetensorError, KeyError):
        return None


def _draw(
    seed: int,
    count: int,
    size_px: int,
    workers: int,
    progress: Callable[[int], None] | None,
    cancel: Callable[[], bool] | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    chunks = [(seed, start, min(_CHUNK, count - start), size_px) for start in range(0, count, _CHUNK)]
    done = 0
    for part in _batches(chunks, min(workers, len(chunks))):
        if cancel is not None and cancel():
            raise Cancelled
        done += len(part[1])
        if progress is not None:
            progress(done)
        yield part


def _batches(chunks: list[tuple[int, int, int, int]], workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    if workers == 1:
        yield from (dataset.to_tensor_batch(*chunk) for chunk in chunks)
    else:
        yield from in_processes(dataset.to_tensor_batch, *zip(*chunks, strict=True), workers=workers)


def drawing_version() -> str:
    """Digest of the code that draws: pictures kept by another version are never reused."""
    files = [Path(dataset.__file__), *sorted(Path(drawing.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def normalise(images: Tensor) -> Tensor:
    """Pixels in 0..1 [N, 3, H, W] to what the networks read: (value - MEAN) / STD."""
    mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (dataset.MEAN, dataset.STD))
    return (images - mean) / std


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random mirror, turn, zoom, shift, light and one erased square per picture: [N, 3, H, W] in 0..1, CPU."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(images), generator=generator)

    angle, zoom = uniform(-0.15, 0.15), uniform(0.9, 1.1)
    mirror = uniform(-1, 1).sign()
    across = torch.stack([mirror * zoom * angle.cos(), -zoom * angle.sin(), uniform(-0.1, 0.1)], dim=1)
    down = torch.stack([mirror * zoom * angle.sin(), zoom * angle.cos(), uniform(-0.1, 0.1)], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    contrast, brightness = uniform(0.8, 1.2).view(-1, 1, 1, 1), uniform(-0.1, 0.1).view(-1, 1, 1, 1)
    lit = ((moved - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)
    return _erase(lit, uniform(-0.35, 0.35), uniform(0, 1), uniform(0, 1), uniform(0, 1))


def _erase(images: Tensor, side: Tensor, top: Tensor, left: Tensor, gray: Tensor) -> Tensor:
    """Paint a gray square of `side` (share of the picture's; none where negative), as an occluder would.

    A network that has seen them takes a square over the background for what it is (random erasing, Zhong et al. 2020).
    """
    rows, columns = ((torch.arange(n) + 0.5) / n for n in images.shape[-2:])

    def within(axis: Tensor, place: Tensor) -> Tensor:
        start = (place * (1 - side))[:, None]
        return (axis >= start) & (axis < start + side[:, None])

    covered = within(rows, top)[:, None, :, None] & within(columns, left)[:, None, None, :]
    return torch.where(covered, gray.view(-1, 1, 1, 1), images)
