"""Whose turn it is: so many jobs of all sessions run at once, and the others wait in the order in which they came."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol

from explorer.errors import UserError

VARIABLE = "EXPLORER_JOBS"


class Queued(Protocol):
    """What waits for its turn."""

    def begin(self) -> None:
        """Called once, when its turn has come."""

    def give_up(self) -> None:
        """Called once, when nobody wants it any more before its turn has come."""

    def should_stop(self) -> bool:
        """Whether nobody wants it any more."""
        ...


class JobQueue:
    """At most `limit()` that run, whichever session began them; the rest first come, first served. For any thread."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._waiting: list[Queued] = []
        self._running: set[Queued] = set()

    def enter(self, job: Queued) -> None:
        """Let it begin now, or put it last. Raises UserError where the limit is no number."""
        self._limit()
        with self._lock:
            self._waiting.append(job)
        self.advance()

    def leave(self, job: Queued) -> None:
        """It has ended, or is to wait no longer: who comes behind moves up."""
        with self._lock:
            self._running.discard(job)
        self.advance()

    def place(self, job: Queued) -> int | None:
        """How many wait before it; None where it does not wait."""
        self.advance()
        with self._lock:
            return self._waiting.index(job) if job in self._waiting else None

    def advance(self) -> None:
        """Let those go that nobody wants, and those begin for which there is room."""
        limit = self._limit()
        with self._lock:
            gone = [job for job in self._waiting if job.should_stop()]
            wanted = [job for job in self._waiting if job not in gone]
            room = max(0, limit - len(self._running))
            begun, self._waiting = wanted[:room], wanted[room:]
            self._running.update(begun)
        for job in gone:
            job.give_up()
        for job in begun:
            job.begin()


def most_at_once() -> int:
    """How many jobs may run at once: EXPLORER_JOBS, or half of the cores but at least 2. Raises UserError."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return max(2, (os.cpu_count() or 1) // 2)
    if not (text.isdecimal() and int(text) > 0):
        raise UserError(f"{VARIABLE}={text[:40]!r} is not a whole number from 1 up.")
    return int(text)
