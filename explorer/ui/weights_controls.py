"""The controls of a person's file of weights: which it is, how it was read, and what to do where it does not fit."""

from __future__ import annotations

import streamlit as st

import models
from explorer.errors import UserError, listed
from explorer.networks.identify import in_words, verdict
from explorer.networks.knob_text import plain
from explorer.ui import jobs, state, weights_file
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.weights_file import Upload
from models.weights.class_names import check_count
from models.weights.own_file import OwnFile
from models.weights.recognise import NetworkMatch


def render(session: Session) -> None:
    """Draw what there is to say of the uploaded file, below its uploader; nothing where there is none."""
    if (upload := weights_file.uploaded()) is None:
        return
    try:
        job = weights_file.reading(upload)
    except UserError as error:
        st.error(markdown_safe(str(error)), icon=":material/error:")
        return
    if not job.finished:
        jobs.show(job, f"Reading {markdown_safe(upload.name)}")
    elif job.result is None:
        st.error(markdown_safe(job.error or f"{upload.name} was not read."), icon=":material/error:")
    elif session.source.kind == "file":
        for note in session.source.notes:
            st.caption(markdown_safe(note))
        _class_names(session, upload)
    else:
        _what_is_it(session, upload, job.result)


def _class_names(session: Session, upload: Upload) -> None:
    """A file that names the classes, where the weights do not."""
    key = f"classes of {upload.digest[:12]}"
    st.file_uploader("Class names: a text, CSV or JSON file", key=key, type=["txt", "csv", "tsv", "json"],
                     on_change=_hand_over, args=(key,))  # fmt: skip
    try:
        if upload.classes_error:
            raise UserError(upload.classes_error)
        if upload.classes:
            check_count("The file", upload.classes, len(session.categories))
    except UserError as error:
        st.error(markdown_safe(str(error)), icon=":material/error:")


def _hand_over(key: str) -> None:
    file = st.session_state[key]
    weights_file.take_classes(file.getvalue() if file else None, file.name if file else "")


def _what_is_it(session: Session, upload: Upload, file: OwnFile) -> None:
    """Why the file does not fit, what it is in place of that, and what can be done."""
    st.error(markdown_safe(session.weights_error or ""), icon=":material/error:")
    job = weights_file.searching(upload, file)
    if not job.finished:
        jobs.show(job, "Looking for its network")
        return
    found: list[NetworkMatch] = job.result or []
    st.caption(markdown_safe(job.error or verdict(file, found)))
    if found and found[0].name != session.preset:
        st.button(f"Open {markdown_safe(in_words(found[0]))}", key="open match", icon=":material/open_in_new:",
                  width="stretch", on_click=_open, args=(found[0],))  # fmt: skip
    fitting = len(weights_file.match_at_hand(session.network, upload, file).fit.same)
    if fitting:
        st.button(f"Load the {fitting:,} tensors that fit", key="take part", icon=":material/join_left:",
                  width="stretch", on_click=weights_file.change, kwargs={"partial": True})  # fmt: skip
    _others(upload, found)


def _others(upload: Upload, found: list[NetworkMatch]) -> None:
    """Where no preset is the file's network: others like it, and the way to those of other libraries."""
    if found and found[0].fit.is_whole:
        return
    if found[1:]:
        st.caption(markdown_safe(f"Then {listed(map(in_words, found[1:4]))}."))
    if not upload.everywhere:
        st.button("Search torchvision and timm", key="search everywhere", icon=":material/travel_explore:",
                  width="stretch", help="Takes half a minute or more.", on_click=weights_file.change,
                  kwargs={"everywhere": True})  # fmt: skip


def _open(match: NetworkMatch) -> None:
    """Open the network that the file is, with the knobs that it shows and its weights."""
    if match.name in models.presets():
        state.open_network(match.name, {name: plain(value) for name, value in match.knobs.items()})
    else:
        state.put("preset", match.name)
    state.put("weights", weights_file.FILE)
    weights_file.change(settled=match.name, shown=match, partial=False)
