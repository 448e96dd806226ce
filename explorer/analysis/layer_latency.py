"""Measured latency of each layer: how long the operations of a traced program take, one by one, on a device."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.analysis import latency
from explorer.analysis.latency import LEAST_S, Latency
from explorer.errors import in_percent
from explorer.graph.shapes import image_dtype
from explorer.graph.trace import TracedProgram, mode
from explorer.run.cancel import Cancellable
from explorer.run.execute import OpCall, run


@dataclass(frozen=True)
class LayerLatencies:
    """seconds: of each layer by id, the median over `passes`, of a batch of one; whole: of the module's own forward.

    Between two layers the device is waited for, so that a GPU's layers, which else overlap with the calls of the next,
    add up to more than the whole.
    """

    seconds: Mapping[str, float]
    passes: int
    whole: Latency

    @property
    def total_s(self) -> float:
        """What the layers' medians add up to."""
        return sum(self.seconds.values())

    @property
    def difference(self) -> float:
        """How far the sum is above the whole pass, as a share of it."""
        return self.total_s / self.whole.median_s - 1 if self.whole.median_s else 0.0

    def sentence(self) -> str:
        """How it was measured, and what the sum and the whole are, for people."""
        share = in_percent(abs(self.difference))
        waits = "" if self.whole.device == "cpu" else " Waiting for the device after each layer is part of it."
        compared = f"{share} {'more' if self.difference > 0 else 'less'}" if share != "0 %" else "as much"
        total, whole = _milliseconds(self.total_s), _milliseconds(self.whole.median_s)
        return (
            f"Medians of {self.passes:,} passes of one image on {self.whole.device}. The layers add up to {total}, "
            f"{compared} {'as' if share == '0 %' else 'than'} the {whole} of passes in which none is timed."
            f"{waits}{self._unrest()}"
        )

    def _unrest(self) -> str:
        """A caution where whole passes took so differently long that the sum need not be like one of them."""
        low, high = (_milliseconds(seconds) for seconds in (self.whole.low_s, self.whole.high_s))
        unsteady = f" Half of these took from {low} to {high}: something else was at work."
        return "" if self.whole.is_steady else unsteady


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


def layer_latencies(
    program: TracedProgram,
    *,
    least_s: float = LEAST_S,
    progress: Callable[[float], None] | None = None,
    cancel: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> LayerLatencies:
    """Time every layer of a program, on the device where its weights are, for one image of noise of the size that was
    traced.

    Passes in which layers are timed and whole ones take turns, so that what else the machine does slows both alike.
    `progress` is told the share that is done, 0 to 1; `cancel` is asked between passes, and within slow ones. The
    module stays as it was. Raises Cancelled.
    """
    parameter = next(program.module.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    size = program.graph.layers[0].output_shape[1:]
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(0)).to(device, image_dtype(program.module))
    synchronise, asked = latency.synchroniser(device), Cancellable(cancel)

    def both(within: contextlib.AbstractContextManager[object]) -> tuple[dict[str, float], float]:
        layers = _timed(program, image, synchronise, cancel, clock)
        started = clock()
        with within:
            program.module(image)
        synchronise()
        return layers, clock() - started

    with mode(program.module, training=False), torch.inference_mode():
        is_slow = both(asked)[1] > least_s and both(asked)[1] > least_s
        passes = latency.steadiest(
            lambda: both(asked if is_slow else contextlib.nullcontext()), synchronise,
            least_s=least_s, progress=progress, cancel=cancel, clock=clock,
        )  # fmt: skip
    found = [result for _, result in passes]
    seconds = {name: statistics.median(layers[name] for layers, _ in found) for name in found[0][0]}
    low, median, high = statistics.quantiles([whole for _, whole in found], n=4, method="inclusive")
    return LayerLatencies(seconds, len(found), Latency(1, str(device), len(found), median, low, high))


def _timed(
    program: TracedProgram,
    image: Tensor,
    synchronise: Callable[[], object],
    cancel: Callable[[], bool],
    clock: Callable[[], float],
) -> dict[str, float]:
    """Seconds of every layer in one pass."""
    seconds: dict[str, float] = {}

    def rule(call: OpCall) -> object:
        synchronise()
        started = clock()
        output = call.default()
        synchronise()
        seconds[call.layer.id] = clock() - started
        return output

    timed = [layer.id for layer in program.graph if layer.kind != "input"]
    run(program, image, rules=dict.fromkeys(timed, rule), cancel=cancel)
    return seconds
