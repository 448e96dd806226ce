"""Measured peak memory against figures by hand: what is held, what is let go, and what other threads take."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

import models
from explorer.analysis.peak_memory import measured_peak_bytes
from explorer.analysis.structure import analyze
from explorer.errors import Cancelled

SIZE = (1, 64, 64)
MAP_BYTES = 4 * 64 * 64


class Spare(nn.Module):
    """Takes room beside its output, and lets it go."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(3, *x.shape[1:]).sum(0, keepdim=True)


class Chooser(nn.Module):
    """Takes much room when it is called for the first time, as kernels are chosen."""

    is_new = True

    def forward(self, x: Tensor) -> Tensor:
        if self.is_new:
            torch.ones(10**6)
        self.is_new = False
        return torch.relu(x)


@pytest.mark.parametrize(
    ("module", "maps"),
    [
        (nn.ReLU(inplace=True), 1),
        (nn.ReLU(), 2),
        (nn.Sequential(nn.ReLU(), nn.ReLU(), nn.ReLU()), 3),  # the caller holds the input, whatever is behind it
        (Chooser(), 2),
        (Spare(), 5),  # the input, three to sum, and the sum; then the output in place of the three
    ],
)
def test_it_is_what_is_held_at_once(module: nn.Module, maps: int) -> None:
    assert measured_peak_bytes(module, SIZE) == maps * MAP_BYTES


def test_it_grows_with_the_batch() -> None:
    assert measured_peak_bytes(nn.ReLU(), SIZE, batch=8) == 16 * MAP_BYTES


@pytest.mark.parametrize("name", ["lenet5", "zfnet_mini", "resnet_mini"])
def test_a_network_takes_no_less_than_is_computed(name: str) -> None:
    """It takes more: a convolution lays its input and weights out anew, and who calls a layer holds on to its input."""
    spec = models.spec(name)
    size = (spec.in_channels, spec.image_size, spec.image_size)
    found, computed = measured_peak_bytes(models.build(name), size), analyze(models.build(name), size).peak_bytes
    assert found is not None
    assert computed <= found < 6 * computed


def test_what_other_threads_take_does_not_count() -> None:
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set():
            torch.zeros(10**6)

    other = threading.Thread(target=take)
    other.start()
    try:
        assert measured_peak_bytes(nn.Sequential(*(nn.ReLU() for _ in range(50))), SIZE) == 3 * MAP_BYTES
    finally:
        stop.set()
        other.join()


def test_the_module_stays_as_it_was_and_a_stop_is_heard() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    measured_peak_bytes(module, SIZE)
    assert module.training
    assert module[1].num_batches_tracked == 0
    with pytest.raises(Cancelled):
        measured_peak_bytes(module, SIZE, cancel=lambda: True)


def test_a_device_that_does_not_tell_has_no_figure() -> None:
    assert measured_peak_bytes(nn.ReLU(), SIZE, device="meta") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize(("module", "maps"), [(nn.ReLU(inplace=True), 1), (nn.Sequential(*[nn.ReLU()] * 3), 3)])
def test_a_gpu_tells_the_same(module: nn.Module, maps: int) -> None:
    assert measured_peak_bytes(module.cuda(), SIZE, device="cuda") == maps * MAP_BYTES


def test_nothing_is_written_to_the_console(capfd: pytest.CaptureFixture[str]) -> None:
    measured_peak_bytes(nn.ReLU(), SIZE)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
