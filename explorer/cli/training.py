"""The commands that train: `train` one preset, and the `contest` of all compact ones."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from explorer.cli.json_text import json_text
from explorer.errors import Cancelled
from explorer.training.contest import contest
from explorer.training.processes import CONTEXT
from explorer.training.run import Progress
from explorer.training.train import train


def train_command(preset_name: str, **options: Any) -> int:
    """`python -m explorer train`: `train` with its progress on stderr and the row on stdout; returns the exit code.

    Ctrl-C stops after the batch and leaves a checkpoint; the same command then goes on.
    """
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        row = train(preset_name, progress=_show, cancel=stop.is_set, **options)
    except Cancelled:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGINT, before)
    print(file=sys.stderr)
    print(json_text(row))
    return 0


def _show(progress: Progress) -> None:
    """One line on a terminal, rewritten; in a file, a line now and then."""
    if sys.stderr.isatty():
        print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)
    elif progress.done == progress.total or progress.done % 50 == 0:
        print(progress, file=sys.stderr, flush=True)


def contest_command(**options: Any) -> int:
    """`python -m explorer contest`: `contest` with its progress on stderr; returns the exit code."""
    stop = CONTEXT.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        rows = contest(tell=lambda line: print(line, file=sys.stderr, flush=True), stop=stop, **options)
    except Cancelled:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGINT, before)
    failed = {name: row for name, row in rows.items() if isinstance(row, str)}
    for name, why in failed.items():
        print(f"error: {name}: {why}", file=sys.stderr)
    return 2 if failed else 0
