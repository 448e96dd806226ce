"""Measured latency of what stands side by side: a job that times all of it, and what has been found so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from explorer.analysis import latency
from explorer.analysis.latency import Latency
from explorer.analysis.peak_memory import measured_peak_bytes
from explorer.analysis.structure import Analysis
from explorer.errors import UserError, in_percent
from explorer.figures import units
from explorer.networks.catalog import Network
from explorer.run import device
from explorer.types import InputSize
from explorer.ui import jobs, state, weights
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.metrics import MOST_MACS
from explorer.ui.session import Session, devices

KIND = "latency"
Key = tuple[str, InputSize, int, str]
Times = dict[Key, Latency | str]  # a sentence where a block could not be timed


@dataclass(frozen=True, eq=False)
class Task:
    """One measurement: a block or network, its input, a batch and a device; with_memory: of its peak memory too."""

    network: Network
    title: str
    analysis: Analysis
    size: InputSize
    batch: int
    device: str
    with_memory: bool = False

    @property
    def key(self) -> Key:
        return self.network.key, self.size, self.batch, self.device


def render(tasks: Sequence[Task], session: Session, asked: str) -> None:
    """The button that measures, the job at work with *Stop*, and what was measured how.

    asked: the setting of the page, in its link, that says that a person asked for it.
    """
    missing = [task for task in tasks if task.key not in _found()]
    key = (*session.key, tuple(task.key for task in tasks))
    before, job = jobs.current(KIND), jobs.current(KIND, key)
    if (job is None or job.finished) and (other := jobs.under_way(besides=(KIND, weights.DOWNLOAD))):
        jobs.show(other, f"Waiting for what would slow the measurement: {other.key[0]}")
        return
    if state.get(asked) and missing and job is None:
        job = jobs.start(KIND, key, _work(missing, _found(), _peaks(), before), show=lambda done: f"{done // 100}")
    if job is not None and not job.finished:
        jobs.show(job, "Measuring latency")
        return
    if job is not None and job.error:
        st.error(markdown_safe(job.error), icon=":material/error:")
    some = len(missing) < len(tasks)
    st.button("Measure again" if some else "Measure latency", icon=":material/timer:", on_click=_again,
              args=(tasks, asked), disabled=not tasks)  # fmt: skip
    _explain(tasks, stopped=job is not None and job.cancelled)


def _again(tasks: Sequence[Task], asked: str) -> None:
    """Measure all of these, whether or not they were measured before."""
    state.put(asked, True)
    for task in tasks:
        _found().pop(task.key, None)
    jobs.discard(KIND)


def _explain(tasks: Sequence[Task], stopped: bool) -> None:
    found = [_found().get(task.key) for task in tasks]
    for sentence in dict.fromkeys(one for one in found if isinstance(one, str)):
        st.warning(markdown_safe(sentence), icon=":material/memory:")
    passes = [one.passes for one in found if isinstance(one, Latency)]
    if stopped:
        st.caption(":orange-badge[Stopped] What was measured until then is shown.")
    if passes:
        name = next(info.name for info in devices() if info.device == tasks[0].device)
        st.caption(
            f"Measured on {name}, float32, eval mode: the median of {min(passes):,} to {max(passes):,} passes after "
            f"{latency.WARM_UP} that are not counted, ± half the distance between the quartiles. Where these lie more "
            f"than {in_percent(latency.STEADY)} of the median apart, the two are shown: something else was at work."
        )


def of(task: Task) -> Latency | None:
    """What was measured; None where nothing was, or it could not be."""
    found = _found().get(task.key)
    return found if isinstance(found, Latency) else None


def peak_of(task: Task) -> int | None:
    """The bytes that a pass was measured to hold at most; None where nothing was measured, or cannot be."""
    return _peaks().get(task.key)


def _peaks() -> dict[Key, int | None]:
    return st.session_state.setdefault("measured peaks", {})


def _found() -> Times:
    return st.session_state.setdefault("latencies", {})


def _work(tasks: list[Task], found: Times, peaks: dict[Key, int | None], before: Job | None) -> Any:
    """The job: it fills `found` and `peaks` one by one once a job from before, which would slow it, has ended.

    What does not fit leaves a sentence and the others go on.
    """

    def work(job: Job) -> None:
        while before is not None and not before.wait(0.1):
            job.progress(0, 100 * len(tasks))
        for index, task in enumerate(tasks):
            try:
                taken, peaks[task.key] = _measure(task, job, 100 * index, 100 * len(tasks))
                found[task.key] = taken
            except UserError as error:
                found[task.key] = str(error)

    return work


def _measure(task: Task, job: Job, done: int, total: int) -> tuple[Latency, int | None]:
    job.progress(done, total)
    figures, what = task.analysis, f"{task.title} at batch {task.batch}"
    device.ensure_fits(figures.weight_bytes + task.batch * figures.peak_bytes, task.device, what)
    if task.device == "cpu" and task.batch * figures.macs > MOST_MACS:
        took = f"{units.count(task.batch * figures.macs)} MACs a pass"
        raise UserError(f"{what} takes {took}; on a CPU at most {units.count(MOST_MACS)} are timed.")
    module = task.network.build("cpu").to(task.device)
    taken = latency.measure(
        module, task.size, task.batch, device=task.device, cancel=job.should_stop,
        progress=lambda share: job.progress(done + int(100 * share), total),
    )  # fmt: skip
    if not task.with_memory:
        return taken, None
    return taken, measured_peak_bytes(module, task.size, task.batch, device=task.device, cancel=job.should_stop)
