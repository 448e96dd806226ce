"""Measured latency: how long a forward pass takes on a device, as the median of many with its spread."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from explorer.errors import Cancelled
from explorer.graph.shapes import image_dtype
from explorer.graph.trace import mode
from explorer.run.cancel import Cancellable

_T = TypeVar("_T")
WARM_UP = 3  # passes at most that are not counted: kernels are chosen, memory is taken
LEAST_S = 0.5  # time that the counted passes take together, at least
LEAST_PASSES = 5
SLOW_S = 3.0  # passes that take as long together are enough, if they are SLOW_PASSES
SLOW_PASSES = 3
STEADY = 0.2  # of the median: what the quartiles may lie apart in a measurement that can be told as one figure
LONGEST_S = 4.0  # as long it goes on where they lie further apart


@dataclass(frozen=True)
class Latency:
    """Seconds of one forward pass of a batch: the median over `passes`, and the quartiles on both sides of it."""

    batch: int
    device: str
    passes: int
    median_s: float
    low_s: float
    high_s: float

    @property
    def spread_s(self) -> float:
        """Half of the distance between the quartiles: the ± of the median."""
        return (self.high_s - self.low_s) / 2

    @property
    def is_steady(self) -> bool:
        """Whether half of the passes took about as long; else there is no one figure to tell."""
        return self.high_s - self.low_s <= STEADY * self.median_s


def measure(
    module: nn.Module,
    input_size: tuple[int, int, int],
    batch: int = 1,
    *,
    device: torch.device | str = "cpu",
    least_s: float = LEAST_S,
    progress: Callable[[float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Latency:
    """Time forward passes of `batch` inputs (C, H, W) of noise, in eval mode, on the device where the module is.

    `progress` is told the share that is done, 0 to 1; `cancel` is asked between passes, and within slow ones. The
    module's mode stays as it was. Raises Cancelled.
    """
    place = torch.device(device)
    noise = torch.randn(batch, *input_size, generator=torch.Generator().manual_seed(0))
    noise = noise.to(place, image_dtype(module))
    synchronise, asked = synchroniser(place), Cancellable(cancel or (lambda: False))

    def asked_pass_s() -> float:
        started = time.perf_counter()
        with asked:
            module(noise)
        synchronise()
        return time.perf_counter() - started

    with mode(module, training=False), torch.inference_mode():
        # To ask within a pass takes some microseconds an operation: nothing, but in a quick one. A first pass may be
        # slow because kernels are chosen, and so it is the second that tells.
        is_slow = asked_pass_s() > least_s and asked_pass_s() > least_s
        with asked if is_slow else contextlib.nullcontext():
            seconds = times(lambda: module(noise), synchronise, least_s=least_s, progress=progress, cancel=cancel)
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Latency(batch, str(place), len(seconds), median, low, high)


def times(call: Callable[[], Any], synchronise: Callable[[], Any], **options: Any) -> list[float]:
    """Seconds of each call, as `steadiest` chooses them; options: its own. Raises Cancelled."""

    def without_result() -> None:
        call()

    return [seconds for seconds, _ in steadiest(without_result, synchronise, **options)]


def steadiest(
    call: Callable[[], _T],
    synchronise: Callable[[], Any],
    *,
    least_s: float = LEAST_S,
    progress: Callable[[float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[float, _T]]:
    """Seconds and result of each call: at least LEAST_PASSES, until they took `least_s` together; SLOW_PASSES of slow
    ones.

    Where they are not steady, as many again and again, up to LONGEST_S in all; of those the steadiest are kept.
    Before them come WARM_UP others, or fewer where these take as long. Raises Cancelled.
    """

    def timed() -> tuple[float, _T]:
        if cancel is not None and cancel():
            raise Cancelled
        started = clock()
        result = call()
        synchronise()
        return clock() - started, result

    synchronise()
    warmed = [timed()[0]]
    while len(warmed) < WARM_UP and sum(warmed) < least_s:
        warmed.append(timed()[0])
    rounds = [_round(timed, least_s, progress)]
    while not _is_steady(_seconds(rounds[-1])) and sum(sum(_seconds(one)) for one in rounds) < LONGEST_S:
        rounds.append(_round(timed, least_s, None))
    return min(rounds, key=lambda one: _unrest(_seconds(one)))


def _round(
    timed: Callable[[], tuple[float, _T]], least_s: float, progress: Callable[[float], None] | None
) -> list[tuple[float, _T]]:
    found: list[tuple[float, _T]] = []
    while (share := _share(len(found), sum(_seconds(found)), least_s)) < 1:
        if progress is not None:
            progress(share)
        found.append(timed())
    return found


def _seconds(found: Sequence[tuple[float, Any]]) -> list[float]:
    return [seconds for seconds, _ in found]


def _unrest(seconds: list[float]) -> float:
    """How far the quartiles lie apart, as a share of the median."""
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return (high - low) / median if median > 0 else 0.0


def _is_steady(seconds: list[float]) -> bool:
    return _unrest(seconds) <= STEADY


def _share(passes: int, spent_s: float, least_s: float) -> float:
    """How much of the measurement is done: 1 is all."""
    return max(min(passes / LEAST_PASSES, spent_s / least_s), min(passes / SLOW_PASSES, spent_s / SLOW_S))


def synchroniser(device: torch.device) -> Callable[[], Any]:
    """What waits until the device has done all that it was asked: a GPU works on after a call has returned."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None
