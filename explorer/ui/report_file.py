"""The report of the network at hand, made when it is asked for, and then downloaded."""

from __future__ import annotations

import re

import streamlit as st

from explorer.errors import UserError
from explorer.figures.whole_report import ReportedPicture, whole_report
from explorer.networks import picture_input
from explorer.ui import jobs, pictures, state
from explorer.ui.awaited import awaited
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

_KIND = "report"


def render(session: Session) -> None:
    """The button that makes it, how far it is, or the one that downloads it."""
    st.caption(
        "One HTML page with the figures, the graph, the layers, and what the network makes of the picture. It needs no "
        "server and no other file."
    )
    if jobs.current(_KIND, session.key) is None and not st.button("Make the report", icon=":material/description:"):
        return
    try:
        picture = _name(session)
        page = awaited(_KIND, session.key, "Making the report", lambda job: _made(session, picture, job))
    except UserError as error:
        st.error(markdown_safe(str(error)), icon=":material/error:")
        return
    if page is not None:
        name = re.sub(r"[^\w.-]+", "_", session.preset)
        st.download_button("Download the report", page, f"{name}.html", "text/html", icon=":material/download:",
                           on_click="ignore")  # fmt: skip


def _name(session: Session) -> str:
    """What the picture is called: a sample's name, or the file's; empty where there is nothing to ask of it."""
    if session.image is None or session.source.needs_download:
        return ""
    return session.picture.name if state.get("image") in pictures.OWN else pictures.sample()


def _made(session: Session, picture: str, job: Job) -> str:
    asked = _asked(session, picture, job) if picture else None
    return whole_report(
        session.preset, session.analysis, asked, progress=lambda done, total, _: job.progress(done, total),
        cancel=job.should_stop,
    )  # fmt: skip


def _asked(session: Session, picture: str, job: Job) -> ReportedPicture:
    return ReportedPicture(
        picture, session.picture.pixels, session.load(job.should_stop).program, session.input, session.preprocessing,
        picture_input.describe(session.preprocessing), session.categories,
    )  # fmt: skip
