"""Code that is killed at each of its steps, as by `kill -9` or the loss of power to a process."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "os.link"}


def deaths(prepare: Callable[[], object], action: Callable[[], object]) -> Iterator[int]:
    """Yield each time that `action` was killed before one more of the calls that change files; at last it runs through.

    It runs in forked processes, each after `prepare()` was called here.
    """
    for step in count():
        prepare()
        died = _is_killed_at(step, action)
        yield step
        if not died:
            return


def _is_killed_at(step: int, action: Callable[[], object]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the child uses none
        child = os.fork()
    if child == 0:
        _end_at(step)
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    died = os.waitstatus_to_exitcode(status)
    assert died in (0, -signal.SIGKILL), "the action itself fails"
    return died != 0


def _end_at(step: int) -> None:
    seen = 0

    def hook(event: str, _: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in CHANGES:
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(hook)
