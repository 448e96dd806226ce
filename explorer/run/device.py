"""The processors that a network can run on, and whether a request fits in their memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from explorer.errors import MemoryLimitError, UserError, shown

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
# Per cgroup version: mount below _CGROUP, files with the limit and the use, key of the droppable cache.
_CGROUP_V2 = ("", "memory.max", "memory.current", "inactive_file")
_CGROUP_V1 = ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@dataclass(frozen=True)
class DeviceInfo:
    """A processor: the name that a person sees, and torch's device string."""

    name: str
    device: str


def available() -> list[DeviceInfo]:
    """The CPU, then every CUDA GPU, then Apple's GPU, as far as this machine has them."""
    threads = torch.get_num_threads()
    found = [DeviceInfo(f"CPU ({threads} thread{'s' if threads != 1 else ''})", "cpu")]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        suffix = f"CUDA {index}" if count > 1 else "CUDA"
        found.append(DeviceInfo(f"{torch.cuda.get_device_name(index)} ({suffix})", f"cuda:{index}"))
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("Apple GPU (MPS)", "mps"))
    return found


def default() -> DeviceInfo:
    """The first GPU if there is one, else the CPU."""
    return available()[:2][-1]


def resolve(name: str | None = None) -> torch.device:
    """The device of a torch device string ("cpu", "cuda", "cuda:1", "mps"); the default one for None.

    Raises UserError for a name that is unknown or not on this machine.
    """
    if name is None:
        return torch.device(default().device)
    here = [info.device for info in available()]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in here:
        raise UserError(f"device={name[:40]!r} is not available here; choose from {', '.join(here)}.")
    return torch.device(wanted)


def free_bytes(device: torch.device | str) -> int | None:
    """Memory that new tensors could take on a device, in bytes; None where the system does not tell.

    CPU: what the kernel counts as available, or less where a cgroup (a container) sets a limit. CUDA: free
    memory and what torch keeps cached. MPS: what is left of the recommended maximum.
    """
    device = torch.device(device)
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return min(_host_limits(), default=None)


def _host_limits() -> Iterator[int]:
    if (available_bytes := _field(_PROC / "meminfo", "MemAvailable:")) is not None:
        yield available_bytes * 1024
    elif "SC_AVPHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for group, (_, limit_file, use_file, cache_key) in _cgroups():
        limit, used = _number(group / limit_file), _number(group / use_file)
        if limit is not None and used is not None:
            yield max(0, limit - used + (_field(group / "memory.stat", cache_key) or 0))


def _cgroups() -> Iterator[tuple[Path, tuple[str, str, str, str]]]:
    """This process's memory cgroup and those above it, of either version; any of them may set the limit."""
    for line in _lines(_PROC / "self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        version = _CGROUP_V1 if controllers else _CGROUP_V2
        mount = _CGROUP / version[0]
        # Inside a container the path may be the host's; the mount's root is then the container's own group.
        own = mount / path.lstrip("/")
        yield from ((group, version) for group in (own, *own.parents) if group.is_relative_to(mount))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # not Linux, or hidden from this process
        return []


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None  # "max": no limit


def _field(path: Path, key: str) -> int | None:
    rows = (line.split() for line in _lines(path))
    return next((int(row[1]) for row in rows if row and row[0] == key), None)


def ensure_fits(needed_bytes: int, device: torch.device | str, what: str) -> None:
    """Raises MemoryLimitError with both figures if `what` needs more memory than the device has free."""
    free = free_bytes(device)
    if free is not None and needed_bytes > free:
        label = str(device).upper()
        raise MemoryLimitError(
            f"{what} needs about {format_bytes(needed_bytes)}, but {label} has {format_bytes(free)} free; "
            "choose smaller values or another device."
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device had no room for a tensor; torch has a type of it for CUDA alone."""
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_ROOM)
    return told or isinstance(error, torch.OutOfMemoryError | MemoryError)


_NO_ROOM = ("can't allocate memory", "not enough memory", "out of memory")  # Linux, Windows, MPS


def parse_bytes(text: str) -> int:
    """A size as people give it: "500MB", "1.5 GB", "200000". Raises UserError for what is none, or less than a byte."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) *([kMGT]?)B?", text.strip(), re.IGNORECASE | re.ASCII)
    count = int(float(found[1]) * _DECIMAL[found[2].lower()]) if found else 0
    if count < 1:
        raise UserError(f"{shown(text)} is not a size of memory, as 500MB or 1.5GB.")
    return count


_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def format_bytes(count: int) -> str:
    """A size for people, in decimal units: 512 B, 1.5 MB, 40.2 GB."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    # 999.95 would be printed as 1000.0
    while value >= (999.95 if units[0] != "B" else 1000) and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:,.1f} {units[0]}"
