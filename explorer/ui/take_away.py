"""What the page shows, to be taken away: as a script, a command, a notebook; the network as a figure, a report."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from explorer.errors import UserError
from explorer.networks.knob_text import encode_knob
from explorer.networks.script import PageQuestion, Script
from explorer.ui import block_files, pictures, report_file, state
from explorer.ui.guard import guard
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

HELP = "What this page shows, as a script, a command or a notebook; the network as a figure and as a report."


def render(session: Session, question: Callable[[Session], PageQuestion]) -> None:
    """A button whose panel has the code for what is on the page."""
    with st.popover("Code", icon=":material/code:", type="tertiary", width="content", help=HELP), guard():
        try:
            found = script_of(session, question(session))
        except UserError as error:  # the page says it in red
            st.caption(markdown_safe(str(error)))
            return
        _code(found, session)


def script_of(session: Session, question: PageQuestion) -> Script:
    """How the answer for the network, weights and picture at hand is made. Raises UserError without a picture."""
    is_file = session.source.kind == "file"
    is_sample = state.get("image") not in pictures.OWN
    picture = pictures.sample() if is_sample or not question.of_picture else session.picture.name
    return Script(
        session.preset, {name: encode_knob(value) for name, value in state.knobs().items()},
        session.source.title if is_file else session.source.name, session.seed if session.has_seed else 0,
        picture, is_sample, session.choices, question,
    )  # fmt: skip


def _code(found: Script, session: Session) -> None:
    script, command, notebook, figure, report = st.tabs(["Python", "Command line", "Notebook", "Figure", "Report"])
    with script:
        st.code(found.python(), language="python", wrap_lines=True)
    with command:
        st.code(found.command(), language="sh", wrap_lines=True)
    with notebook:
        name = f"{found.network.replace(':', '_')}_{found.question.arguments()[0]}.ipynb"
        st.download_button("Download the notebook", found.notebook(), name, "application/x-ipynb+json",
                           icon=":material/download:", on_click="ignore")  # fmt: skip
    with figure:
        block_files.render(session.analysis.graph, session.preset)
    with report:
        report_file.render(session)
    if found.question.of_picture and not found.is_sample:
        st.caption("Your picture goes by its name here: run the code in its folder.")
