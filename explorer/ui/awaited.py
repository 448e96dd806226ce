"""What a view needs and takes a while: worked out in a job beside the page, and drawn by the rerun after its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from explorer.errors import UserError
from explorer.ui import jobs
from explorer.ui.jobs import Job

_T = TypeVar("_T")
GRACE_S = 0.4  # what ends sooner shows no progress, and still does not hold up the page


def awaited(
    kind: str, key: tuple[Any, ...], label: str, work: Callable[[Job], _T], draw: Callable[[Job], None] | None = None
) -> _T | None:
    """What `work` returns; None while it runs or after *Stop*, which the page then shows here, beside what `draw` makes
    of the job while it runs.

    `work` runs in a thread of its own, where neither the page nor its state can be reached. Raises UserError as it.
    """
    job = jobs.start(kind, key, work)
    job.wait(GRACE_S)
    if not job.finished:
        jobs.show(job, label, draw)
    elif job.cancelled:
        st.button("Go on", key=f"go on {kind}", icon=":material/play_arrow:", on_click=jobs.discard, args=(kind,))
    elif job.error:
        jobs.discard(kind)  # the next rerun tries again
        raise UserError(job.error)
    return job.result
