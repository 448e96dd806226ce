"""Long work beside the page: one thread per job, with progress, time left, a stop that works, and what there is so far.

Jobs belong to a browser session. A job is started once per key, survives reruns, and is stopped when another key takes
its place, when its session has ended, or by the person. Those of all sessions share one queue.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explorer.errors import Cancelled, UserError
from explorer.ui.job_queue import JobQueue, most_at_once

ABANDONED_S = 20.0
REFRESH_S = 0.5
WAITING_REFRESH_S = 2.0  # many may wait, and their places change more seldom
STOPPING_S = 1.0  # a stop shows at once where the work ends this soon
LAST_WAIT_S = 2.0


@dataclass(eq=False)
class Job:
    """Work that waits or is under way: read `done`, `total`, `partial`; `result` or `error` once `finished`.

    earlier_s: seconds that a job before it took, where this one goes on from what that one had done.
    """

    key: tuple[Any, ...]
    work: Callable[[Job], Any]
    show: Callable[[int], str] = "{:,}".format
    earlier_s: float = 0.0
    done: int = 0
    total: int = 0
    partial: Any = None
    result: Any = None
    error: str | None = None
    cancelled: bool = False
    started_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None
    is_watched: Callable[[], bool] = lambda: True
    seen_s: float = field(default_factory=time.monotonic)
    _stop: threading.Event = field(default_factory=threading.Event)
    _end: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Job:
        """Begin the work in a thread of its own, once its turn has come. Raises UserError (`most_at_once`)."""
        _started.add(self)
        _queue.enter(self)
        return self

    def begin(self) -> None:
        """Called by the queue: its turn has come."""
        self.started_s = time.monotonic()
        threading.Thread(target=self._run, name=f"job {self.key[0]}", daemon=True).start()

    def give_up(self) -> None:
        """Called by the queue: it was stopped, or its session has gone, before its turn came."""
        self.cancelled = True
        self._close()

    @property
    def place(self) -> int | None:
        """How many jobs, of all sessions, wait before this one; None where it does not wait."""
        return _queue.place(self)

    def progress(self, done: int, total: int, partial: Any = None) -> None:
        """Called by the work: how far it is, and what there is so far. Raises Cancelled once it is to stop."""
        self.done, self.total = done, total
        if partial is not None:
            self.partial = partial
        if self.should_stop():
            raise Cancelled

    def part(self, number: int, parts: int) -> Callable[..., None]:
        """Called by work of several parts that take about as long: the `progress` of one, numbered from 0."""
        return lambda done, total, partial=None: self.progress(number * total + done, parts * total, partial)

    def should_stop(self) -> bool:
        """Called by work and queue: whether the person stopped it, or the session has been gone for a while."""
        if self.is_watched():
            self.seen_s = time.monotonic()
        return self._stop.is_set() or time.monotonic() - self.seen_s > ABANDONED_S

    def stop(self) -> None:
        """Ask the work to end; it does so at its next progress or check, and at once where it waits for its turn."""
        self._stop.set()
        _queue.advance()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; whether it came in time."""
        return self._end.wait(timeout_s)

    @property
    def finished(self) -> bool:
        """Whether it ended: with a result, an error, or because it was stopped."""
        return self.ended_s is not None

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, up to the end, and those before it."""
        return self.earlier_s + (self.ended_s or time.monotonic()) - self.started_s

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at the speed so far; None while that cannot be told."""
        return self.elapsed_s * (1 - self.share) / self.share if self.share > 0 else None

    def _run(self) -> None:
        try:
            if self._stop.is_set():
                raise Cancelled
            self.result = self.work(self)
        except Cancelled:
            self.cancelled = True
        except UserError as error:
            self.error = str(error)
        except Exception as error:
            log(error)
            self.error = unexpected(error)
        finally:
            self._close()
            _queue.leave(self)

    def _close(self) -> None:
        self.work = _ended  # what it held (network, picture) is free, though the job stays for its result
        self.ended_s = time.monotonic()
        self._end.set()


def _ended(job: Job) -> None:
    """The work of a job that has none left."""


_queue = JobQueue(most_at_once)
_started: weakref.WeakSet[Job] = weakref.WeakSet()


@atexit.register
def stop_all() -> None:
    """Stop every job there is: a thread that still computes while the interpreter ends would abort the process."""
    under_way = [job for job in list(_started) if not job.finished]
    for job in under_way:
        job.stop()
    for job in under_way:
        job.wait(LAST_WAIT_S)


def log(error: BaseException) -> None:
    """Keep the traceback of an error of ours in the server's log."""
    logging.getLogger("explorer").error("unexpected error", exc_info=error)


def unexpected(error: BaseException) -> str:
    """The sentence that a person sees of an error of ours."""
    return f"This failed inside the program ({type(error).__name__}); the server's log has the details."


def start(kind: str, key: tuple[Any, ...], work: Callable[[Job], Any], **options: Any) -> Job:
    """Start the work, or return the job of this kind and key that runs or has ended; another key's job is stopped.

    options: those of Job (`show`: how `done` and `total` are written; `earlier_s`).
    """
    found = current(kind)
    if found and found.key == (kind, *key):
        return found
    if found:
        found.stop()
    job = Job((kind, *key), work, is_watched=_session_watch(), **options).start()
    _jobs()[kind] = job
    return job


def current(kind: str, key: tuple[Any, ...] | None = None) -> Job | None:
    """The session's job of this kind (and key); a job of another key is stopped."""
    job = _jobs().get(kind)
    if job is None:
        return None
    if key is not None and job.key != (kind, *key):
        _put_aside(kind, job)
        return None
    return job


def _put_aside(kind: str, job: Job) -> None:
    """Stop a job that is not wanted now. One that found nothing yet is forgotten: the person did not stop it."""
    found_nothing = not job.finished and job.partial is None
    job.stop()
    if found_nothing:
        _jobs().pop(kind)


def under_way(besides: Collection[str] = ()) -> Job | None:
    """A job of this session that runs, of any kind but some."""
    return next((job for kind, job in _jobs().items() if kind not in besides and not job.finished), None)


def retain(*keys: tuple[Any, ...], besides: Collection[str] = ()) -> None:
    """Stop the session's jobs whose keys begin with none of these, except for some kinds."""
    for kind, job in list(_jobs().items()):
        if kind not in besides and not any(job.key[1 : 1 + len(key)] == key for key in keys):
            _put_aside(kind, job)


def discard(kind: str) -> None:
    """Stop and forget the session's job of this kind, so that it can be started again."""
    if job := _jobs().pop(kind, None):
        job.stop()


def _session_watch() -> Callable[[], bool]:
    """A question for any thread: is this browser session still connected?"""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return lambda: True
    sessions, own = runtime.get_instance(), context.session_id
    return lambda: sessions.is_active_session(own)


def _jobs() -> dict[str, Job]:
    return st.session_state.setdefault("jobs", {})


def show(job: Job, label: str, draw: Callable[[Job], None] | None = None) -> None:
    """Draw place in the queue or progress and time left, and *Stop*, of a job, and `draw(job)` beside it.

    Its beginning and its end rerun the page.
    """
    waits = job.place is not None

    @st.fragment(run_every=WAITING_REFRESH_S if waits else REFRESH_S)
    def poll() -> None:
        if job._stop.is_set():
            job.wait(STOPPING_S)
        if job.finished or waits != (job.place is not None):
            st.rerun()
        st.progress(job.share, text=f"{label} · {describe(job)}")
        st.button("Stop", key=f"stop {job.key[0]}", icon=":material/stop:", on_click=job.stop)
        if draw:
            draw(job)

    if not job.finished:
        poll()


def describe(job: Job) -> str:
    """How far a job is, or its place in the queue, in words."""
    if job._stop.is_set() and not job.finished:
        return "stopping…"
    if (place := job.place) is not None:
        return f"in the queue: {place} before you" if place else "in the queue: you are next"
    if not job.total:
        return duration(job.elapsed_s)
    left = f"{duration(job.eta_s)} left" if job.eta_s is not None else "measuring the time left…"
    return f"{job.show(job.done)} of {job.show(job.total)} · {left}"


def duration(seconds: float) -> str:
    """Seconds for people: "12 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
