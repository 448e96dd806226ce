"""Work in several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if start is not None:
        start(*arguments)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Processes that are started within it do not run the caller's script again (under Streamlit that is the page)."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
