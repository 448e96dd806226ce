"""Background jobs: progress, time left, a stop that works, results, errors, and jobs that nobody looks at."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest
from streamlit.testing.v1 import AppTest

from explorer.errors import UserError
from explorer.ui import jobs
from explorer.ui.jobs import Job, describe, duration


def endless(job: Job) -> None:
    while True:
        job.progress(1, 10, partial="first")
        time.sleep(0.01)


def until(condition: object, timeout_s: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def test_a_job_reports_progress_and_ends_with_its_result() -> None:
    gate = threading.Event()

    def work(job: Job) -> int:
        job.progress(3, 4, partial=[1, 2, 3])
        gate.wait(10)
        return 42

    job = Job(("count",), work).start()
    until(lambda: job.done)
    assert (job.share, job.partial, job.finished, job.result) == (0.75, [1, 2, 3], False, None)
    gate.set()
    assert job.wait(10)
    assert job.result == 42
    assert job.error is None
    assert not job.cancelled


def test_a_job_that_has_ended_holds_nothing_of_its_work() -> None:
    class Picture:
        pass

    def start(picture: Picture) -> tuple[Job, weakref.ref[Picture]]:
        return Job(("look",), lambda job: str(picture)).start(), weakref.ref(picture)

    job, picture = start(Picture())
    assert job.wait(10)
    assert job.result
    gc.collect()
    assert picture() is None


def test_the_time_left_goes_by_the_speed_so_far() -> None:
    job = Job(("count",), endless, started_s=100.0, ended_s=109.0, done=3, total=4)
    assert (job.elapsed_s, job.eta_s) == (9, 3)
    assert Job(("count",), endless, total=4).eta_s is None


def test_stop_ends_the_work_at_its_next_word_and_keeps_what_there_is() -> None:
    gate, went_on = threading.Event(), threading.Event()

    def work(job: Job) -> None:
        job.progress(1, 10, partial="first")
        gate.wait(10)
        job.progress(2, 10)
        went_on.set()

    job = Job(("work",), work).start()
    until(lambda: job.partial)
    job.stop()
    gate.set()
    assert job.wait(10)
    assert not went_on.is_set()
    assert job.cancelled
    assert job.partial == "first"
    assert job.result is None
    assert job.error is None


def test_an_error_that_a_person_caused_is_its_own_sentence() -> None:
    def work(job: Job) -> None:
        raise UserError("window=900 is too large.")

    job = Job(("bad",), work).start()
    assert job.wait(10)
    assert job.error == "window=900 is too large."


def test_an_error_of_ours_is_logged_and_shown_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    job = Job(("broken",), lambda job: 1 // 0).start()
    assert job.wait(10)
    assert job.error
    assert "ZeroDivisionError" in job.error
    assert "Traceback" not in job.error
    assert "division" in caplog.text


def test_a_job_stops_some_time_after_its_session_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ABANDONED_S", 0.1)
    connected = threading.Event()
    connected.set()
    job = Job(("endless",), endless, is_watched=connected.is_set).start()
    assert not job.wait(0.5)
    connected.clear()
    assert job.wait(5)
    assert job.cancelled


def test_a_job_that_runs_does_not_keep_the_interpreter_from_ending() -> None:
    code = """
import torch
from explorer.ui.jobs import Job
def work(job):
    while True:
        torch.randn(64, 64) @ torch.randn(64, 64)
        job.progress(0, 1)
Job(("endless",), work).start()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.2, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_job_is_described_in_its_own_units() -> None:
    job = Job(("x",), endless, show=lambda count: f"{count} MB", done=5, total=10)
    assert describe(job).startswith("5 MB of 10 MB · ")
    assert describe(job).endswith("left")
    assert describe(Job(("x",), endless)) == "0 s"


# -- on a page --------------------------------------------------------------------------------------------------------


def page() -> None:
    """A page with one job per number, that counts how often work began."""
    import time

    import streamlit as st

    from explorer.ui import jobs

    st.session_state.setdefault("began", [])
    key = st.number_input("key", 0, 9, key="key")
    began = st.session_state["began"]

    def work(job: jobs.Job) -> str:
        began.append(key)
        for i in range(1000):
            job.progress(i, 1000)
            if key == 9:
                break
            time.sleep(0.01)
        return f"result {key}"

    if st.session_state.get("elsewhere"):
        jobs.retain((key + 1,), besides=st.session_state["elsewhere"])
    job = jobs.start("test", (key,), work)
    jobs.show(job, "Working")
    st.session_state["job"] = job
    if job.finished:
        st.write(job.result or "stopped")


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(page, default_timeout=30).run()


def test_a_rerun_finds_the_job_that_runs(app: AppTest) -> None:
    job = app.session_state["job"]
    app.run()
    assert app.session_state["job"] is job
    assert not job.finished
    until(lambda: app.session_state["began"] == [0])
    job.stop()
    assert job.wait(5)


def test_another_key_stops_the_job_and_starts_its_own(app: AppTest) -> None:
    job = app.session_state["job"]
    app.number_input(key="key").set_value(1).run()
    assert job.wait(5)
    assert job.cancelled
    other = app.session_state["job"]
    assert other is not job
    assert not other.cancelled
    other.stop()


def test_jobs_of_another_network_are_stopped_wherever_the_person_is(app: AppTest) -> None:
    job = app.session_state["job"]
    app.session_state["elsewhere"] = ["test"]
    app.run()
    assert not job.wait(0.2)
    app.session_state["elsewhere"] = ["another kind"]
    app.run()
    assert job.wait(5)
    assert job.cancelled


def test_the_stop_button_stops_and_the_page_shows_the_end(app: AppTest) -> None:
    job = app.session_state["job"]
    app.button(key="stop test").click().run()
    assert job.wait(10)
    assert job.cancelled
    app.run()
    assert app.markdown[-1].value == "stopped"
    assert not app.button


def test_a_finished_job_keeps_its_result_over_reruns(app: AppTest) -> None:
    app.number_input(key="key").set_value(9).run()
    assert app.session_state["job"].wait(5)
    app.run()
    app.run()
    assert app.markdown[-1].value == "result 9"
    assert app.session_state["began"].count(9) == 1
