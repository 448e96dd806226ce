"""One cap on the jobs of all sessions: who runs, who waits and where, and who gives a place up."""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer.errors import UserError
from explorer.ui import jobs
from explorer.ui.job_queue import JobQueue, most_at_once
from explorer.ui.jobs import Job, describe

WAIT_S = 20


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_queue", JobQueue(lambda: 2))


class Bench:
    """Jobs that each run until they are let; `order` has their names as they began."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.free: dict[str, threading.Event] = {}

    def job(self, name: str, **options: Any) -> Job:
        self.free[name] = threading.Event()

        def work(job: Job) -> str:
            self.order.append(name)
            while not self.free[name].wait(0.005):
                job.progress(0, 1)
            return name

        return Job((name,), work, **options).start()

    def end(self, job: Job) -> None:
        self.free[job.key[0]].set()
        assert job.wait(WAIT_S)


@pytest.fixture
def bench() -> Iterator[Bench]:
    found = Bench()
    yield found
    for event in found.free.values():
        event.set()


def until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def test_so_many_run_and_the_others_begin_in_the_order_in_which_they_came(bench: Bench) -> None:
    first, second, third, fourth, fifth = (bench.job(name) for name in "abcde")
    until(lambda: len(bench.order) == 2)
    assert [job.place for job in (first, second, third, fourth, fifth)] == [None, None, 0, 1, 2]
    assert not fifth.finished
    bench.end(second)
    until(lambda: bench.order[2:] == ["c"])
    assert [job.place for job in (third, fourth, fifth)] == [None, 0, 1]
    bench.end(third)
    until(lambda: bench.order[3:] == ["d"])
    bench.end(first)
    until(lambda: bench.order[4:] == ["e"])
    bench.end(fifth)
    assert fifth.result == "e"


def test_a_job_that_waits_says_how_many_are_before_it(bench: Bench) -> None:
    waiting = [bench.job(name) for name in "abcde"][2:]
    assert [describe(job) for job in waiting] == [
        "in the queue: you are next", "in the queue: 1 before you", "in the queue: 2 before you",
    ]  # fmt: skip


def test_one_that_is_stopped_while_it_waits_leaves_at_once_and_never_runs(bench: Bench) -> None:
    first, _, third, fourth = (bench.job(name) for name in "abcd")
    third.stop()
    assert (third.finished, third.cancelled, third.place, third.result, third.error) == (True, True, None, None, None)
    assert fourth.place == 0
    assert third.wait(0)
    bench.end(first)
    until(lambda: bench.order[2:] == ["d"])


def test_one_that_is_stopped_while_it_waits_holds_nothing_of_its_work(bench: Bench) -> None:
    class Picture:
        pass

    def start(picture: Picture) -> tuple[Job, weakref.ref[Picture]]:
        return Job(("look",), lambda job: str(picture)).start(), weakref.ref(picture)

    running = [bench.job(name) for name in "ab"]
    job, picture = start(Picture())
    job.stop()
    gc.collect()
    assert picture() is None
    assert not any(one.finished for one in running)


def test_a_session_that_has_gone_gives_its_place_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    connected = threading.Event()
    connected.set()
    first, _ = (bench.job(name) for name in "ab")
    left = bench.job("c", is_watched=connected.is_set)
    behind = bench.job("d")
    monkeypatch.setattr(jobs, "ABANDONED_S", 0.1)
    time.sleep(0.2)
    assert (left.place, behind.place) == (0, 1), "it is still connected"
    connected.clear()
    time.sleep(0.2)
    assert (behind.place, left.cancelled) == (0, True)
    bench.end(first)
    until(lambda: bench.order[2:] == ["d"])


def test_the_running_job_of_a_session_that_has_gone_makes_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ABANDONED_S", 0.1)
    gone = bench.job("a", is_watched=lambda: False)
    bench.job("b")
    waiting = bench.job("c")
    until(lambda: "c" in bench.order)
    assert gone.cancelled
    assert not waiting.finished


def test_an_error_makes_room(bench: Bench) -> None:
    broken = [Job((f"broken {i}",), lambda job: 1 // 0).start() for i in range(5)]
    assert all(job.wait(WAIT_S) for job in broken)
    bench.end(bench.job("a"))


def test_of_many_that_come_go_and_fail_never_more_run_than_may() -> None:
    draw, lock = random.Random(7), threading.Lock()
    now, most, ended = 0, 0, 0

    def work(job: Job) -> None:
        nonlocal now, most, ended
        with lock:
            now += 1
            most = max(most, now)
        try:
            for _ in range(3):
                time.sleep(0.001)
                job.progress(0, 1)
        finally:
            with lock:
                now, ended = now - 1, ended + 1

    started = [Job((i,), work).start() for i in range(200)]
    for job in draw.sample(started, 60):
        job.stop()
    assert all(job.wait(WAIT_S) for job in started)
    assert most == 2
    assert ended >= 140
    assert [job.place for job in started] == [None] * 200
    last = Job(("last",), work).start()
    assert last.wait(WAIT_S)
    assert not last.cancelled


@pytest.mark.parametrize(("cores", "jobs_at_once"), [(None, 2), (1, 2), (2, 2), (5, 2), (8, 4), (64, 32)])
def test_half_of_the_cores_may_be_at_work_but_at_least_two_jobs(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, jobs_at_once: int
) -> None:
    monkeypatch.delenv("EXPLORER_JOBS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert most_at_once() == jobs_at_once


def test_the_number_can_be_set_and_what_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_JOBS", "7")
    assert most_at_once() == 7
    for text in ("0", "-1", "many", "1.5", "²"):
        monkeypatch.setenv("EXPLORER_JOBS", text)
        with pytest.raises(UserError, match=f"EXPLORER_JOBS={text!r} is not a whole number from 1 up"):
            most_at_once()


# -- on a page --------------------------------------------------------------------------------------------------------


def page() -> None:
    """A page with one job per number; those of even numbers end when they are let."""
    import streamlit as st

    from explorer.ui import jobs

    free = st.session_state["free"]
    key = st.number_input("key", 0, 9, key="key")

    def work(job: jobs.Job) -> str:
        while not free.wait(0.005):
            job.progress(0, 1)
        return f"result {key}"

    job = jobs.current("test", (key,)) or jobs.start("test", (key,), work)
    st.session_state["job"] = job
    jobs.show(job, "Working")
    if job.finished:
        st.write("stopped" if job.cancelled else job.result)


@pytest.fixture
def visitors() -> Iterator[list[AppTest]]:
    """Four sessions on the page, that came one after the other."""
    found = [AppTest.from_function(page, default_timeout=30) for _ in range(4)]
    for app in found:
        app.session_state["free"] = threading.Event()
        app.run()
    yield found
    for app in found:
        app.session_state["free"].set()


def shown(app: AppTest) -> list[str]:
    return [bar.proto.text for bar in app.get("progress")]  # pyright: ignore[reportAttributeAccessIssue]


def test_each_session_is_shown_its_place_which_moves_up(visitors: list[AppTest]) -> None:
    first, second, third, fourth = visitors
    until(lambda: first.session_state["job"].total and second.session_state["job"].total)
    assert shown(third) == ["Working · in the queue: you are next"]
    assert shown(fourth) == ["Working · in the queue: 1 before you"]
    first.session_state["free"].set()
    assert first.session_state["job"].wait(WAIT_S)
    until(lambda: third.session_state["job"].total)
    assert shown(fourth.run()) == ["Working · in the queue: you are next"]
    assert "queue" not in shown(third.run())[0]
    assert shown(second.run())


def test_stop_in_the_queue_shows_the_end_and_lets_the_next_move_up(visitors: list[AppTest]) -> None:
    *_, third, fourth = visitors
    third.button(key="stop test").click().run()
    assert third.markdown[-1].value == "stopped"
    assert shown(fourth.run()) == ["Working · in the queue: you are next"]


def test_another_choice_gives_the_place_up_and_is_no_stop(visitors: list[AppTest]) -> None:
    *_, third, fourth = visitors
    job = third.session_state["job"]
    third.number_input(key="key").set_value(1).run()
    assert job.cancelled
    assert shown(third) == ["Working · in the queue: 1 before you"], "it came last"
    assert shown(fourth.run()) == ["Working · in the queue: you are next"]
    third.number_input(key="key").set_value(0).run()
    assert not third.session_state["job"].cancelled, "the person stopped nothing"
