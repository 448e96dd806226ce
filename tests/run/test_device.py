"""Devices: what is there, what is free, and a refusal with both figures for what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from explorer.errors import MemoryLimitError, UserError
from explorer.run import device
from explorer.run.device import available, default, ensure_fits, format_bytes, free_bytes, parse_bytes, resolve

GB = 1_000_000_000


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA H100")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def pretend_linux(monkeypatch: pytest.MonkeyPatch, root: Path, files: dict[str, str]) -> None:
    monkeypatch.setattr(device, "_PROC", root / "proc")
    monkeypatch.setattr(device, "_CGROUP", root / "cgroup")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_the_cpu_is_always_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert [(info.name, info.device) for info in available()] == [("CPU (2 threads)", "cpu")]
    assert default().device == "cpu"
    assert resolve() == torch.device("cpu")


def test_a_gpu_is_named_and_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, 1)
    assert default().name == "NVIDIA H100 (CUDA)"
    assert resolve() == resolve("cuda") == resolve("cuda:0") == torch.device("cuda:0")
    pretend_cuda(monkeypatch, 2)
    assert [info.name for info in available()[1:]] == ["NVIDIA H100 (CUDA 0)", "NVIDIA H100 (CUDA 1)"]
    assert resolve("cuda:1").index == 1


def test_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * GB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 5 * GB)
    assert default().name == "Apple GPU (MPS)"
    assert resolve("mps").type == "mps"
    assert free_bytes("mps") == 7 * GB


@pytest.mark.parametrize("name", ["tpu", "cuda:7", "", "meta", "cpu:0:0", "CPU; rm", "x" * 1000, "cuda\n"])
def test_unknown_devices_are_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend_cuda(monkeypatch, 1)
    with pytest.raises(UserError) as caught:
        resolve(name)
    message = str(caught.value)
    assert f"device={name[:40]!r}" in message
    assert "choose from cpu, cuda:0" in message
    assert len(message) < 200
    assert "\n" not in message


MEMINFO = "MemTotal: 32000000 kB\nMemFree: 1000000 kB\nMemAvailable: 20000000 kB\n"
STAT_V1 = "inactive_file 5\ntotal_inactive_file 500000000\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/meminfo": MEMINFO}, 20_480_000_000),
        (
            {
                "proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", "cgroup/memory.max": "4000000000\n",
                "cgroup/memory.current": "1500000000\n", "cgroup/memory.stat": "anon 9\ninactive_file 500000000\n",
            },
            3 * GB,
        ),
        (
            {
                "proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", "cgroup/memory.max": "max\n",
                "cgroup/memory.current": "9",
            },
            20_480_000_000,
        ),
        (  # the limit sits on a parent
            {
                "proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/a/b\n", "cgroup/a/memory.max": "2000000000",
                "cgroup/a/memory.current": "500000000", "cgroup/a/b/memory.max": "max",
                "cgroup/a/b/memory.current": "1",
            },
            1_500_000_000,
        ),
        (  # version 1, with the host's path that a container does not have
            {
                "proc/meminfo": MEMINFO, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/\n",
                "cgroup/memory/memory.limit_in_bytes": "3000000000",
                "cgroup/memory/memory.usage_in_bytes": "2500000000",
                "cgroup/memory/memory.stat": STAT_V1,
            },
            1 * GB,
        ),
        (  # over its limit
            {
                "proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", "cgroup/memory.max": "100",
                "cgroup/memory.current": "900",
            },
            0,
        ),
    ],
    ids=["no cgroup", "version 2", "no limit", "parent", "version 1", "over"],
)  # fmt: skip
def test_free_memory_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    pretend_linux(monkeypatch, tmp_path, files)
    assert free_bytes("cpu") == expected


def test_where_the_system_does_not_tell_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_linux(monkeypatch, tmp_path, {})
    monkeypatch.setattr(device.os, "sysconf_names", {})
    assert free_bytes("cpu") is None
    ensure_fits(10**18, "cpu", "vgg16")


def test_free_memory_of_this_machine_is_plausible() -> None:
    free = free_bytes(torch.device("cpu"))
    assert free is None or 10_000_000 < free < 10**15


def test_free_memory_of_a_gpu_counts_what_torch_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10 * GB, 80 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 6 * GB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 2 * GB)
    assert free_bytes("cuda:0") == 14 * GB


def test_what_does_not_fit_is_refused_with_both_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "free_bytes", lambda _: 17_100_000_000)
    ensure_fits(17_100_000_000, "cpu", "vgg16")
    with pytest.raises(MemoryLimitError) as caught:
        ensure_fits(40_200_000_000, torch.device("cpu"), "vgg16 with widths=4096")
    assert str(caught.value).startswith("vgg16 with widths=4096 needs about 40.2 GB, but CPU has 17.1 GB free;")


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (40_200_000_000, "40.2 GB"), (4 * 10**13, "40.0 TB"), (5 * 10**19, "50,000.0 PB")],
)  # fmt: skip
def test_sizes_for_people(count: int, shown: str) -> None:
    assert format_bytes(count) == shown


@pytest.mark.parametrize(
    ("text", "count"),
    [("200000", 200_000), ("1.5 GB", 1_500_000_000), ("500MB", 5 * 10**8), (" 12kb ", 12_000), ("3t", 3 * 10**12)],
)
def test_sizes_as_people_give_them(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "MB", "-5MB", "0", "0.2B", "1e9", "5 XB", "²MB", "9" * 40])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(UserError, match="is not a size of memory, as 500MB or 1.5GB") as refused:
        parse_bytes(text)
    assert repr(text) in str(refused.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_real_gpu() -> None:
    info = default()
    assert info.device == "cuda:0"
    assert torch.cuda.get_device_name(0) in info.name
    free = free_bytes(resolve("cuda"))
    assert free is not None
    assert 0 < free <= torch.cuda.get_device_properties(0).total_memory
