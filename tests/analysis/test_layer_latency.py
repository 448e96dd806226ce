"""Latency of each layer: medians of what a clock says between two waits, the sum beside the whole, and nothing left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from explorer.analysis import latency
from explorer.analysis.latency import Latency
from explorer.analysis.layer_latency import LayerLatencies, layer_latencies
from explorer.errors import Cancelled
from explorer.graph.trace import TracedProgram, trace
from explorer.run.execute import OpCall
from tests.support.toy_networks import Branching


def network() -> TracedProgram:
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return trace(nn.Sequential(*layers).eval(), (3, 16, 16))


class LayerClock:
    """A clock that each layer moves on by its seconds, of which the first passes take twice as many."""

    def __init__(self, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.ran = 0.0, list[str]()
        default = OpCall.default

        def slow(call: OpCall, *args: Any) -> Any:
            cold = self.ran.count(call.layer.id) <= latency.WARM_UP
            self.ran.append(call.layer.id)
            self.now += seconds.get(call.layer.id, 0.001) * (2 if cold else 1)
            return default(call, *args)

        monkeypatch.setattr(OpCall, "default", slow)

    def __call__(self) -> float:
        return self.now


def test_each_layer_has_the_median_of_the_passes_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    program, clock = network(), LayerClock({"0": 0.03, "5": 0.02}, monkeypatch)
    found = layer_latencies(program, clock=clock)
    assert found.seconds == pytest.approx({"0": 0.03, "1": 0.001, "2": 0.001, "3": 0.001, "4": 0.001, "5": 0.02})
    assert list(found.seconds) == [layer.id for layer in program.graph if layer.kind != "input"]
    assert found.passes >= latency.LEAST_PASSES
    assert clock.ran.count("0") == found.passes + latency.WARM_UP + 1, "one more, to see whether passes are slow"


def test_the_device_is_waited_for_on_both_sides_of_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    default = OpCall.default

    def told(call: OpCall, *args: Any) -> Any:
        events.append(call.layer.id)
        return default(call, *args)

    monkeypatch.setattr(OpCall, "default", told)
    monkeypatch.setattr(latency, "synchroniser", lambda device: lambda: events.append("wait"))
    layer_latencies(network(), least_s=0.001)
    first = events[: events.index("5")]
    for name in "01234":
        at = first.index(name)
        assert events[at - 1] == events[at + 1] == "wait"


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine make any layer slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
def test_what_costs_most_takes_longest() -> None:
    """A thousand times as many multiply-accumulates as the others."""
    layers = (nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 256, 5), nn.MaxPool2d(8), nn.Conv2d(256, 8, 1))
    found = layer_latencies(trace(nn.Sequential(*layers).eval(), (3, 96, 96)))
    assert max(found.seconds, key=found.seconds.__getitem__) == "2"
    assert found.whole.passes >= latency.SLOW_PASSES
    assert found.total_s > 0


def test_the_sum_is_told_beside_the_whole() -> None:
    def said(total_s: float) -> str:
        return LayerLatencies({"a": 0.02, "b": total_s - 0.02}, 1234, Latency(1, "cpu", 9, 0.4, 0.39, 0.41)).sentence()

    assert said(0.43) == (
        "Medians of 1,234 passes of one image on cpu. The layers add up to 430 ms, 7 % more than the 400 ms of passes "
        "in which none is timed."
    )
    assert "add up to 300 ms, 25 % less than the 400 ms" in said(0.3)
    assert "add up to 401 ms, as much as the 400 ms" in said(0.401)
    assert "add up to 20.5 ms" in said(0.0205)
    assert "wait for the device" not in said(0.3)
    on_gpu = LayerLatencies({"a": 0.3}, 5, Latency(1, "cuda:0", 9, 0.4, 0.39, 0.41)).sentence()
    assert on_gpu.endswith("in which none is timed. Waiting for the device after each layer is part of it.")


def test_a_busy_machine_is_told() -> None:
    told = LayerLatencies({"a": 0.3}, 5, Latency(1, "cpu", 5, 0.4, 0.04, 0.5)).sentence()
    assert told.endswith("in which none is timed. Half of these took from 40 ms to 500 ms: something else was at work.")


def test_networks_of_torch_export_and_other_types_are_timed() -> None:
    exported = trace(Branching().eval(), (3, 8, 8))
    assert len(layer_latencies(exported, least_s=0.001).seconds) == len(exported.graph) - 1
    double = trace(nn.Sequential(nn.Conv2d(3, 2, 1)).double().eval(), (3, 4, 4))
    assert list(layer_latencies(double, least_s=0.001).seconds) == ["0"]


@pytest.mark.parametrize("asked", [0, 3, 60])
def test_it_ends_soon_and_leaves_all_as_it_was(asked: int) -> None:
    program = network()
    program.module.train()
    before = {name: value.clone() for name, value in program.module.state_dict().items()}
    calls = iter(range(10**6))
    with pytest.raises(Cancelled):
        layer_latencies(program, cancel=lambda: next(calls) >= asked)
    assert next(calls) <= asked + 2
    assert program.module.training
    assert all(torch.equal(value, before[name]) for name, value in program.module.state_dict().items())
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_progress_goes_from_0_to_1() -> None:
    told: list[float] = []
    layer_latencies(network(), least_s=0.01, progress=told.append)
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] < 1
