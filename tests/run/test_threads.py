"""Jobs and sessions work in threads of one process: none disturbs what another computes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

import models
from explorer import analyze
from explorer.graph.trace import trace
from explorer.run.execute import run

IMAGE = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)


def while_others(work: Callable[[], Any], until: Callable[[], Any]) -> list[Any]:
    """What `work` returns, again and again in two threads, until `until` has returned in a third."""
    done = threading.Event()

    def again() -> list[Any]:
        results = []
        while not done.is_set():
            results.append(work())
        return results

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(again) for _ in range(2)]
        try:
            until()
        finally:
            done.set()
        return [result for one in running for result in one.result()]


def test_networks_run_as_ever_while_others_are_traced() -> None:
    module = models.build("zfnet_mini")
    program = trace(module, (3, 64, 64))
    expected = run(program, IMAGE).output
    traced = [models.build(name, device="meta") for name in ("resnet50", "densenet121")]

    def work() -> bool:
        with torch.inference_mode():
            return torch.equal(run(program, IMAGE).output, expected) and torch.equal(module(IMAGE), expected)

    found = while_others(work, lambda: [trace(each) for each in traced for _ in range(3)])
    assert len(found) > 2
    assert all(found)


def test_networks_are_traced_at_once_in_threads() -> None:
    names = ["resnet18", "densenet121", "vgg16"] * 4
    expected = {name: analyze(models.build(name, device="meta")).macs for name in names[:3]}
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda name: analyze(models.build(name, device="meta")).macs, names))
    assert found == [expected[name] for name in names]
    assert models.build("vgg_mini")(IMAGE).shape == (1, 12)  # nothing of the tracers is left behind


def test_the_same_seed_gives_the_same_weights_while_others_build_and_run() -> None:
    first = models.build("lenet_mini", seed=3).state_dict()
    program = trace(models.build("resnet_mini"), (3, 64, 64))

    def same() -> bool:
        other = models.build("lenet_mini", seed=3).state_dict()
        return all(torch.equal(first[name], other[name]) for name in first)

    found = while_others(same, lambda: [(models.build("vgg_mini", seed=1), run(program, IMAGE)) for _ in range(8)])
    assert len(found) > 2
    assert all(found)
