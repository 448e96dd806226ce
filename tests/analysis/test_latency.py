"""Measured latency: which passes are counted, what is waited for, and what is left as it was; nothing is timed."""

from __future__ import annotations

import statistics

import pytest
import torch
from torch import nn

from explorer.analysis import latency
from explorer.errors import Cancelled


class Clock:
    """A clock that only moves when work is done: by the next of the given seconds, or the last again and again."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.seconds, self.calls = 0.0, list(seconds), 0

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1


def times(clock: Clock, **options: object) -> list[float]:
    return latency.times(clock.work, lambda: None, clock=clock, **options)  # type: ignore[arg-type]


def test_the_first_passes_are_not_counted() -> None:
    clock = Clock(9, 9, 9, 1)
    assert times(clock, least_s=20) == [1] * 3  # after a long first pass, three slow ones are enough
    clock = Clock(0.02, 0.03, 0.04, 0.001)
    assert {round(s, 9) for s in times(clock, least_s=0.1)} == {0.001}


@pytest.mark.parametrize(
    ("one_s", "least_s", "passes"), [(0.01, 0.5, 50), (0.5, 0.5, 5), (0.25, 2.0, 8), (1.0, 0.5, 3), (60.0, 0.5, 3)]
)
def test_passes_go_on_until_there_are_enough_and_enough_time_was_spent(one_s, least_s, passes) -> None:
    clock = Clock(one_s)
    assert abs(len(times(clock, least_s=least_s)) - passes) <= 1
    assert clock.calls <= passes + 1 + latency.WARM_UP


def test_where_passes_are_not_steady_they_are_taken_again_until_they_are() -> None:
    unrest = [0.001, 1.0] * 3
    found = times(Clock(0.001, 0.001, 0.001, *unrest[:5], 0.01), least_s=0.5)
    assert {round(s, 9) for s in found} == {0.01}


def test_what_never_gets_steady_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(*[0.001, 0.5] * 100)
    found = times(clock, least_s=0.5)
    assert clock.now < latency.LONGEST_S + 3
    monkeypatch.setattr(latency, "times", lambda *_, **__: found)
    measured = latency.measure(nn.ReLU(), (1, 2, 2))
    assert not measured.is_steady
    assert (measured.low_s, measured.high_s) == (pytest.approx(0.001), pytest.approx(0.5))


@pytest.mark.parametrize(("low", "high", "steady"), [(0.92, 1.1, True), (0.95, 1.2, False), (1.0, 1.0, True)])
def test_steady_is_what_has_its_quartiles_within_a_fifth(low: float, high: float, steady: bool) -> None:
    assert latency.Latency(1, "cpu", 9, 1.0, low, high).is_steady is steady


def test_the_device_is_waited_for_before_the_first_and_after_each_pass() -> None:
    log: list[str] = []
    clock = Clock(0.2)

    def call() -> None:
        log.append("call")
        clock.work()

    latency.times(call, lambda: log.append("wait"), clock=clock)
    assert log == ["wait"] + ["call", "wait"] * log.count("call")


def test_cuda_and_mps_are_synchronised_and_the_cpu_need_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(str(device)))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    for name in ("cpu", "cuda:1", "mps"):
        latency.synchroniser(torch.device(name))()
    assert waited == ["cuda:1", "mps"]


def test_progress_only_grows_and_cancel_ends_between_two_passes() -> None:
    told: list[float] = []
    times(Clock(0.05), progress=told.append)
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] < 1
    clock = Clock(0.05)
    with pytest.raises(Cancelled):
        times(clock, cancel=lambda: clock.calls == 6)
    assert clock.calls == 6


def test_median_and_quartiles_are_those_of_the_counted_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.5, 0.1, 0.4, 0.2, 0.3]
    monkeypatch.setattr(latency, "times", lambda *_, **__: seconds)
    found = latency.measure(nn.ReLU(), (1, 2, 2), batch=4)
    assert (found.median_s, found.low_s, found.high_s, found.passes) == (statistics.median(seconds), 0.2, 0.4, 5)
    assert found.spread_s == pytest.approx(0.1)
    assert (found.batch, found.device) == (4, "cpu")


class Watch(nn.Module):
    """Notes of each pass: the input's shape, whether it trains, and whether gradients are on."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout()
        self.seen: set[tuple[tuple[int, ...], bool, bool]] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add((tuple(x.shape), self.inner.training, torch.is_inference_mode_enabled()))
        return self.inner(x)


def test_passes_are_of_a_batch_in_eval_and_inference_mode_and_the_mode_comes_back() -> None:
    module = Watch().train()
    module.inner.eval()
    latency.measure(module, (3, 5, 7), batch=2, least_s=0.001)
    assert module.seen == {((2, 3, 5, 7), False, True)}
    assert module.training
    assert not module.inner.training
    with pytest.raises(Cancelled):
        latency.measure(module.train(), (3, 5, 7), cancel=lambda: True)
    assert module.training
    assert module.inner.training


def test_a_pass_can_be_stopped_in_its_middle() -> None:
    done: list[str] = []

    class Slow(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            done.append("begun")
            return torch.relu(x)

    with pytest.raises(Cancelled):
        latency.measure(Slow(), (3, 4, 4), cancel=lambda: bool(done))
    assert done == ["begun"]
