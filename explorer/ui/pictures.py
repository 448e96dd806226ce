"""Where the picture comes from: the samples, or what a person uploads or takes with the camera."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from explorer.errors import UserError
from explorer.images import codec, samples
from explorer.images.codec import LoadedImage
from explorer.ui import state

FIRST = "cat"
_LEFT = "left sample"
OWN = ("upload", "camera")  # pictures that no link can carry


def names() -> tuple[str, ...]:
    """The names of the sample pictures."""
    return tuple(samples.samples())


def sample() -> str:
    """The name of the chosen sample, of the first one where none is chosen."""
    chosen = state.get("image")
    return chosen if chosen in names() else FIRST


def choose(source: str) -> None:
    """Take the picture from "upload" or "camera", or the sample again that was chosen before them."""
    if source in OWN and state.get("image") not in OWN:
        st.session_state[_LEFT] = state.get("image")
    state.put("image", source if source in OWN else st.session_state.get(_LEFT, ""))


def current() -> tuple[LoadedImage | None, str | None]:
    """The picture, or the sentence that says why there is none; neither before anything was uploaded."""
    if state.get("image") in OWN:
        return st.session_state.get(_key(state.get("image")), (None, None))
    try:
        return _load(samples.sample(sample())), None
    except UserError as error:
        return None, str(error)


def take(data: bytes | None, name: str, source: str) -> None:
    """Make a file the picture of "upload" or "camera", or keep the sentence why it is none; None takes it away."""
    state.name_own(source, name if data is not None else None)
    if data is None:
        st.session_state[_key(source)] = None, None
        return
    try:
        st.session_state[_key(source)] = codec.load(data, name), None
    except UserError as error:
        st.session_state[_key(source)] = None, str(error)


def _key(source: str) -> str:
    return f"picture {source}"


@st.cache_resource(max_entries=32, show_spinner=False)
def _load(path: Path) -> LoadedImage:
    return codec.load(path)
