"""Work in several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from types import ModuleType
from typing import Any, TypeVar

from explorer.errors import UserError

Result = TypeVar("Result")

# Spawned, not forked: a fork of a process whose torch threads have run may hang.
CONTEXT = multiprocessing.get_context("spawn")


def in_processes(
    function: Callable[..., Result], *columns: Iterable[Any], workers: int, start: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:  # fmt: skip
    """`map(function, *columns)` by `workers` processes, in order; each first calls `start(*arguments)`.

    They pass over Ctrl-C, which is for the caller alone: closing the iterator ends them after their present work.
    If this process is killed, they end at once.
    Raises UserError if the system ends one of them.
    """
    pool = ProcessPoolExecutor(workers, CONTEXT, initializer=_begin, initargs=(start, arguments))
    try:
        with _no_main():
            results = pool.map(function, *columns)
        yield from results
    except BrokenProcessPool:
        raise UserError(f"workers={workers}: one was ended from outside, as happens where memory is short.") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if start is not None:
        start(*arguments)


def _end_with_parent() -> None:
    """End this process when its parent does, however that ends: a killed one cannot tell its workers.

    The parent holds a pipe open for this. Linux could send a signal instead, but does so as soon as the *thread* ends
    that made the process.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Processes that are started within it do not run the caller's script again (under Streamlit that is the page)."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
