"""Scans that are killed again and again at random points, and started again: a process of its own, which forks them.

`python -m tests.support.killed_scans PICTURES OUT KILLS` ends with one line: how many were killed.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch

from explorer.atlas import scan_folder
from explorer.atlas.picture_sets import FolderPictures
from explorer.atlas.scan import ScanJob, scan_steps
from explorer.networks import catalog

NETWORK, LAYERS, BATCH, EVERY = "zfnet_mini", ("features.2", "features.6"), 32, 64
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"}


def scan(job: ScanJob, out: Path) -> None:
    """Scan, or go on, as the command does."""
    with scan_folder.own_folder(out):
        before = scan_folder.kept(out, job.subject)
        if before is None or not before.is_complete:
            scan_folder.scan_into(out, scan_steps(job, before), job.pictures, before, every=EVERY)


def is_killed(work: Callable[[], object], at: int | None) -> bool:
    """Whether a fork that does the work was killed at so many things done to files; for None it never is."""
    child = os.fork()
    if child == 0:
        try:
            if at is not None:
                _end_at(at)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"the scan itself failed with {code}"
    return code != 0


def _end_at(count: int) -> None:
    """Kill this process at its count-th call that opens or changes a file: within decoding, running or writing."""
    left = count

    def hook(event: str, _: object) -> None:
        nonlocal left
        left -= event in FILE_EVENTS
        if left == 0 and event in FILE_EVENTS:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main(pictures: Path, out: Path, kills: int) -> None:
    torch.set_num_threads(1)  # so that a fork is whole: it has no other threads than its own
    loaded = catalog.load(catalog.find(NETWORK), catalog.weights_source(NETWORK), "cpu")
    job = ScanJob.of(NETWORK, loaded, FolderPictures(pictures), LAYERS, BATCH)
    assert not is_killed(lambda: scan(job, out / "whole"), None)
    random = Random(0)
    # Fewer pictures are opened in a life than the set has for each, so that no life comes to the end.
    killed = [is_killed(lambda: scan(job, out / "killed"), random.randint(1, len(job.pictures) // kills))
              for _ in range(kills)]  # fmt: skip
    assert not is_killed(lambda: scan(job, out / "killed"), None)
    print(sum(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
