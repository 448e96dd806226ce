"""Measured peak memory: the most that a forward pass holds at once beside the weights, as torch's allocator tells it.

On a CPU torch's profiler tells the allocations of the pass's own thread, so that other work of the process does not
count; on a GPU the caching allocator keeps the peak itself. Room that libraries take past the allocator is not in it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from explorer.analysis.latency import synchroniser
from explorer.graph.shapes import image_dtype
from explorer.graph.trace import mode
from explorer.run.cancel import Cancellable
from explorer.types import InputSize

_ALLOCATION = "[memory]"  # what the profiler calls an allocation, or where its bytes are below 0 a release
_profiling = threading.Lock()  # a process has one profiler, whatever thread it looks at
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would say of each pass that it began, and that there is no GPU


def measured_peak_bytes(
    module: nn.Module,
    input_size: InputSize,
    batch: int = 1,
    *,
    device: torch.device | str = "cpu",
    cancel: Callable[[], bool] | None = None,
) -> int | None:
    """Bytes that one forward pass of `batch` inputs (C, H, W) of noise holds at most, the inputs included.

    In eval mode, on the device where the module is; its mode stays as it was. A pass before it, which may take room to
    choose kernels, does not count. None on devices that do not tell. Raises Cancelled.
    """
    place = torch.device(device)
    if place.type not in ("cpu", "cuda"):
        return None
    noise = torch.randn(batch, *input_size, generator=torch.Generator().manual_seed(0))
    noise = noise.to(place, image_dtype(module))
    with mode(module, training=False), torch.inference_mode(), Cancellable(cancel or (lambda: False)):
        module(noise)
        grown = grown_bytes(lambda: module(noise), place)
    return None if grown is None else noise.nbytes + grown


def grown_bytes(work: Callable[[], object], device: torch.device) -> int | None:
    """The most bytes that a piece of work holds at once beyond what is held before it.

    On a CPU those of this thread. None where that cannot be told: on other devices than CPU and CUDA, and on a CPU
    within somebody's own profile.
    """
    if device.type == "cuda":
        return _grown_on_gpu(work, device)
    profiled: bool = torch.autograd._profiler_enabled()  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    return _grown_on_cpu(work) if device.type == "cpu" and not profiled else None


def _grown_on_cpu(work: Callable[[], object]) -> int:
    with _profiling, profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as passed:
        work()
    assert passed.profiler is not None
    return _most_held(passed.profiler.kineto_results)


def _most_held(results: Any) -> int:
    """Of a profile, whose types torch does not name, the highest sum of what was taken less what was let go."""
    changes = [event for event in results.events() if event.name() == _ALLOCATION]
    return max(accumulate((c.nbytes() for c in sorted(changes, key=lambda c: c.start_ns())), initial=0))


def _grown_on_gpu(work: Callable[[], object], device: torch.device) -> int:
    synchronise = synchroniser(device)
    synchronise()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    synchronise()
    return torch.cuda.max_memory_allocated(device) - before
