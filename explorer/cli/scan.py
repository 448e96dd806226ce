"""The command that finds what excites each channel of a network most, in a folder of pictures of any size: scan."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import torch

from explorer.analysis.passes import passes_of
from explorer.analysis.top_nine_run import layers_with_units, scanned_layers
from explorer.atlas import scan_folder
from explorer.atlas.picture_sets import picture_set
from explorer.atlas.ray_engine import ray_scan
from explorer.atlas.scan import ScanJob, empty_scan, scan_steps
from explorer.atlas.scan_file import Scan
from explorer.cli.pictures import Chosen
from explorer.errors import UserError, printable
from explorer.networks.catalog import LoadedNetwork

LISTED = 10  # broken pictures that are told; the file lists more


def scan_command(
    pictures: str, layers: list[str] | None, engine: Literal["local", "ray"], batch: int | None, workers: int | None,
    every: int | None, restart: bool, out: str, **network: Any,
) -> int:  # fmt: skip
    """Scan a set of pictures into a folder, and say what was found and what was broken; network: see `Chosen`."""
    for name, value in (("batch", batch), ("workers", workers), ("every", every)):
        if value == 0:
            raise UserError(f"--{name} 0: it takes at least 1.")
    chosen, folder = Chosen.of(network), Path(out)
    found_set = picture_set(pictures)
    loaded = chosen.load()
    job = ScanJob.of(_called(chosen), loaded, found_set, _layers(loaded, layers), batch or _batch(loaded))
    with scan_folder.own_folder(folder):
        if restart and scan_folder.forget(folder):
            print(f"all {len(found_set):,} pictures are scanned again", file=sys.stderr)
        before = scan_folder.kept(folder, job.subject)
        if before is not None and before.is_complete:
            print(f"{folder / scan_folder.RESULT} holds this scan already.", file=sys.stderr)
            return _say(before, folder)
        kept_every = every or scan_folder.KEEP_EVERY
        if engine == "ray":
            scan_folder.keep(folder, before or empty_scan(job))  # the folder is this scan's from now on
            found = ray_scan(folder, job, loaded.module, kept_every, chosen.device)
            scan_folder.keep(folder, found)
        else:
            if before is not None:
                print(f"going on after {before.seen:,} of {before.subject.total:,} pictures", file=sys.stderr)
            steps = scan_steps(job, before, workers)
            found = scan_folder.scan_into(folder, steps, found_set, before, every=kept_every, progress=_tell)
        return _say(found, folder)


def _layers(loaded: LoadedNetwork, names: list[str] | None) -> tuple[str, ...]:
    graph = loaded.program.graph
    return layers_with_units(graph) if names is None else scanned_layers(graph, names)


def _batch(loaded: LoadedNetwork) -> int:
    """As many pictures as are run fast at a time, on the device of the network."""
    device = next((each.device for each in loaded.module.parameters()), torch.device("cpu"))
    return passes_of(loaded.program).batch_size(
        torch.zeros(1, *loaded.program.graph.layers[0].output_shape[1:], device=device)
    )


def _called(chosen: Chosen) -> str:
    """The network's name with its knobs, which its weights do not all tell."""
    return " ".join([chosen.name, *(f"{knob}={value}" for knob, value in chosen.knobs)])


def _tell(seen: int, total: int, seconds_left: float) -> None:
    if sys.stderr.isatty():
        print(
            f"\r\033[K{seen:,} of {total:,} pictures, {seconds_left:,.0f} s left", end="", file=sys.stderr, flush=True
        )
        if seen == total:
            print(file=sys.stderr)


def _say(scan: Scan, folder: Path) -> int:
    if scan.broken_count == scan.seen:
        raise UserError(f"None of the {scan.seen:,} pictures could be opened; the first: {scan.broken[0].problem}")
    channels = sum(top.channels for top in scan.top.values())
    print(
        f"{scan.seen:,} pictures, the strongest nine of each of {channels:,} channels of {len(scan.top)} layers: "
        f"{folder / scan_folder.RESULT}"
    )
    for each in scan.broken[:LISTED]:
        print(printable(f"skipped {each.name}: {each.problem}"), file=sys.stderr)
    if scan.broken_count > LISTED:
        print(f"{scan.broken_count:,} pictures were skipped in all.", file=sys.stderr)
    return 0
