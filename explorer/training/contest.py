"""The contest: every compact preset trained with one recipe, seed and picture set; the `contest` command."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import torch

import models
from explorer.analysis import latency
from explorer.errors import Cancelled, UserError, in_percent
from explorer.training.processes import CONTEXT, in_processes
from explorer.training.run import Progress, Settings
from explorer.training.train import EPOCHS, ITEMS, RUNS, draw, enter, read_table, settings_of, trained_row, trained_spec

Row = dict[str, Any]
STOPPED = "stopped"

_ALONE = "It looks at no neighbours: all that does are two convolutions of 2×2 px, which halve the map before it."
_THIN = "Its 3×3 window works on 14 and 20 channels: it is made to be stacked deep, and stands here twice."
_PATHS = "Its 3×3 window is cut into 32 paths of one channel each: it is made for wider networks."
REASONS = {  # why a network misses 90 %
    "lenet_mini": "Two windows of 5×5 px with average pools: a unit of its last map sees 16 px of 64.",
    "vit_mini": "It has no windows and learns what a neighbour is: six epochs of 12,288 pictures are few for that.",
    "anynet_mini_squeeze_excitation": _ALONE,
    "anynet_mini_global_context": _ALONE,
    "anynet_mini_non_local": _ALONE,
    "anynet_mini_transformer": "Its tokens do not know where they are, and attention has to learn what a window is.",
    "anynet_mini_transition": "A 1×1 convolution and a pool: it thins maps out between blocks that find something.",
    "anynet_mini_residual_bottleneck": _THIN,
    "anynet_mini_preact_bottleneck": _THIN,
    "anynet_mini_resnext": _PATHS,
    "anynet_mini_resnext_preact": _PATHS,
    "anynet_mini_depthwise_separable": "Its window looks at 32 and 56 channels one by one, and only 1×1 convolutions "
    "find what they have in common: it is made to be stacked deep.",
    "anynet_mini_shuffle_unit_v1": "More than half of its maps are its input, pooled; the others come from windows on "
    "16 and 20 channels one by one, and from 1×1 convolutions cut into four groups.",
    "anynet_mini_inception_b": "More than half of its maps are its input, pooled; its windows add few of their own.",
    "anynet_mini_inception_resnet_c": "Its 1×3 and 3×1 windows work on 5 to 10 channels: it is made for wide maps.",
}


def entrants() -> list[str]:
    """The compact presets: one at least of every family, and AnyNet with each block in the same slots."""
    return [name for name in models.presets() if models.preset(name).compact]


def contest(
    names: Sequence[str] | None = None,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    items: int = ITEMS,
    workers: int | None = None,
    folder: Path = RUNS,
    out: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    stop: Event | None = None,
) -> dict[str, Row | str]:
    """Train those of `names` (default: `entrants()`) that `out` has no row of under these settings.

    `workers` processes (default: one a core) train a network each. Returns the new rows, or why a network has none.
    What was stopped by `stop` (then Cancelled is raised) goes on where it was when called again.
    """
    cores = os.cpu_count() or 1
    workers = cores if workers is None else workers
    if not 1 <= workers <= cores:
        raise UserError(f"workers={workers} is not between 1 and {cores}, the cores of this machine.")
    table, stop = out or folder / "weights", stop or CONTEXT.Event()
    settings = [settings_of(name, epochs, seed, items) for name in dict.fromkeys(names or entrants())]
    entered = read_table(table / "metrics.json")
    waiting = [each for each in settings if not _is_entered(each, entered, table)]
    for size_px in sorted({each.spec["image_size"] for each in waiting}):
        draw(seed, items, size_px, folder, lambda told: tell(str(told)), stop.is_set)
    results = in_processes(
        _row, waiting, repeat(folder), repeat(table), workers=workers,
        start=_begin, arguments=(stop, cores // workers),
    )  # fmt: skip
    rows = _collect(waiting, results, table, tell, stop)
    if stop.is_set():
        raise Cancelled
    measure_latencies(table, tell, stop.is_set)
    return rows


def _collect(
    waiting: list[Settings], results: Iterator[Row | str], table: Path, tell: Callable[[str], None], stop: Event
) -> dict[str, Row | str]:
    """The results by network, each entered in the table and told when it comes; none that comes after a stop."""
    rows, began = {}, time.monotonic()
    for count, (each, row) in enumerate(zip(waiting, results, strict=True), start=1):
        if stop.is_set():
            continue
        rows[each.preset] = row
        if isinstance(row, dict):
            enter(table / "metrics.json", each.preset, row)
        left_s = (time.monotonic() - began) / count * (len(waiting) - count)
        tell(f"{count} of {len(waiting)} networks, {left_s / 60:.0f} min left; {each.preset}: {_verdict(row)}")
    return rows


def measure_latencies(table: Path, tell: Callable[[str], None], cancel: Callable[[], bool]) -> None:
    """Enter how long each network of the table takes on the CPU: of all anew if of one it is missing.

    Only figures of one machine, taken one after the other, can be compared. Raises Cancelled.
    """
    path = table / "metrics.json"
    rows = {name: row for name, row in read_table(path).items() if name in models.presets()}
    if all("latency_ms" in row for row in rows.values()):
        return
    on = f"{_processor()}, {torch.get_num_threads()} threads"
    for count, (name, row) in enumerate(rows.items(), start=1):
        spec = trained_spec(name)
        size, module = (spec.in_channels, spec.image_size, spec.image_size), models.build(spec)
        found = {batch: latency.measure(module, size, batch, cancel=cancel).median_s * 1000 for batch in (1, 32)}
        enter(path, name, {**row, "latency_ms": {str(b): round(ms, 3) for b, ms in found.items()}, "latency_on": on})
        tell(f"{count} of {len(rows)} measured; {name}: {found[1]:.1f} ms, {found[32]:.1f} ms for 32")


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _verdict(row: Row | str) -> str:
    return row if isinstance(row, str) else f"{in_percent(row['accuracy'], 2)} in {row['seconds']:.0f} s"


def _is_entered(settings: Settings, entered: dict[str, Row], table: Path) -> bool:
    """Whether the table has a row of these settings, and the weights lie beside it."""
    command = entered.get(settings.preset, {}).get("command")
    return command == settings.command and (table / f"{settings.preset}.safetensors").exists()


# -- in a worker ------------------------------------------------------------------------------------------------------

_stop: Event


def _begin(stop: Event, threads: int) -> None:
    global _stop
    _stop = stop
    torch.set_num_threads(threads)


def _row(settings: Settings, folder: Path, table: Path) -> Row | str:
    """One network's row, or why it has none."""
    if _stop.is_set():
        return STOPPED
    try:
        return trained_row(settings, folder, table, progress=_Epochs(settings), cancel=_stop.is_set)
    except Cancelled:
        return STOPPED
    except UserError as error:
        return str(error)
    except Exception as error:  # out of memory, a full disk, a fault of ours: the other networks go on
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


class _Epochs:
    """Writes a line on stderr when an epoch ends."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self, told: Progress) -> None:
        if told.stage == "training" and told.done % self.settings.steps_per_epoch == 0:
            print(f"  {self.settings.preset}: {told}", file=sys.stderr, flush=True)


# -- the command ------------------------------------------------------------------------------------------------------
