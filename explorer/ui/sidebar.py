"""The sidebar: architecture, preset, weights, picture and device; each error beside what caused it."""

from __future__ import annotations

import streamlit as st

import models
from explorer.ui import session as sessions
from explorer.ui import state
from explorer.ui.session import Session

SOURCES = {"sample": "Samples", "upload": "Upload", "camera": "Camera"}


def render(session: Session) -> None:
    """Draw the whole sidebar."""
    with st.sidebar:
        _architecture(session)
        _weights(session)
        _picture(session)
        _device(session)


def _architecture(session: Session) -> None:
    entries = {entry.name: entry for entry in models.architectures()}
    state.keep(
        st.selectbox, "architecture", "Architecture", session.architecture.name,
        lambda name: state.put("preset", _first(name)), options=list(entries),
        format_func=lambda name: f"{entries[name].year} · {entries[name].title}",
        help="By year; type to search.",
    )  # fmt: skip
    presets = session.architecture.presets
    state.control(st.selectbox, "preset", "Preset", options=list(presets))
    paper = session.architecture.paper
    st.caption(session.architecture.summary)
    st.caption(f"[{paper.title}]({paper.url}) · {paper.authors}, {paper.venue}")


def _first(architecture: str) -> str:
    presets = next(entry.presets for entry in models.architectures() if entry.name == architecture)
    return next(iter(presets))


def _weights(session: Session) -> None:
    state.control(st.number_input, "seed", "Seed of the random weights", min_value=0, max_value=2**31 - 1, step=1)


def _picture(session: Session) -> None:
    source = state.get("image") if state.get("image") in SOURCES else "sample"
    state.keep(
        st.segmented_control, "source", "Picture", source, lambda chosen: state.put("image", chosen),
        options=list(SOURCES), format_func=SOURCES.__getitem__, width="stretch", required=True,
    )  # fmt: skip
    if source == "sample":
        state.keep(
            st.selectbox, "sample", "Sample", sessions.sample_name(), lambda name: state.put("image", name),
            options=list(sessions.samples()), format_func=str.capitalize, label_visibility="collapsed",
        )  # fmt: skip
    elif source == "upload":
        st.file_uploader("Upload a picture", key="file", on_change=_take, args=("file",), label_visibility="collapsed")
    else:
        st.camera_input("Take a picture", key="photo", on_change=_take, args=("photo",), label_visibility="collapsed")
    if session.image_error:
        st.error(session.image_error, icon=":material/broken_image:")
    if session.image:
        height, width = session.image.pixels.shape[:2]
        st.image(session.image.pixels, width="stretch", caption=f"{session.image.name} · {width} × {height} px")
        for notice in session.image.notices:
            st.caption(notice)


def _take(key: str) -> None:
    st.session_state["touched"] = True
    if file := st.session_state[key]:
        sessions.take_picture(file.getvalue(), file.name)


def _device(session: Session) -> None:
    names = {info.device: info.name for info in sessions.devices()}
    if len(names) > 1:
        state.keep(
            st.selectbox, "device", "Device", session.device, lambda value: state.put("device", value),
            options=list(names), format_func=names.__getitem__,
        )  # fmt: skip
    else:
        st.caption(f"Device: {names[session.device]}")
