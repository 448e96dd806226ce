"""Where the picture comes from: the samples, or what a person uploads or takes with the camera."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from explorer.errors import UserError
from explorer.images import codec, samples
from explorer.images.codec import LoadedImage
from explorer.images.own_pictures import Source
from explorer.networks import live
from explorer.ui import state

FIRST = "cat"
OWN = ("upload", "camera")  # pictures that no link can carry
MOST_PICTURES, MOST_BYTES = 1_000, 200_000_000  # of one session
_LEFT = "left sample"


@dataclass(frozen=True)
class OwnPicture:
    """A file of a person's as it came; label: the folder that it lay in, "" for none."""

    name: str
    data: bytes = field(repr=False)
    digest: str
    label: str = ""

    def load(self) -> LoadedImage:
        """The picture, which is kept for a while. Raises ImageError."""
        return _decoded(self.digest, self)

    def decoded(self) -> LoadedImage:
        """The picture, decoded anew. Raises ImageError."""
        return codec.load(self.data, self.name)


def names() -> tuple[str, ...]:
    """The names of the pictures to choose from: those that a person opened with their network, then the samples."""
    return (*_opened(), *samples.samples())


def _opened() -> Mapping[str, Source]:
    found = live.current()
    return found.pictures if found else {}


def title(name: str) -> str:
    """What a picture is called in their list."""
    return name if name in _opened() else name.capitalize()


def sample() -> str:
    """The name of the chosen picture; where none is chosen, of the first of a person's own, else of the samples."""
    chosen = state.get("image")
    return chosen if chosen in names() else next(iter(_opened()), FIRST)


def choose(source: str) -> None:
    """Take the picture from "upload" or "camera", or the sample again that was chosen before them."""
    if source in OWN and state.get("image") not in OWN:
        st.session_state[_LEFT] = state.get("image")
    state.put("image", source if source in OWN else st.session_state.get(_LEFT, ""))


def current() -> tuple[LoadedImage | None, str | None]:
    """The picture, or the sentence that says why there is none; neither before anything was uploaded."""
    source = state.get("image")
    try:
        if source not in OWN:
            return _listed(sample()), None
        held = own(source)
        return (held[at(source)].load() if held else None), None
    except UserError as error:
        return None, str(error)


def _listed(name: str) -> LoadedImage:
    """A picture of the list, by its name."""
    opened = _opened().get(name)
    return _load(samples.sample(name)) if opened is None else _load_opened(name, opened)


def own(source: str) -> tuple[OwnPicture, ...]:
    """The files that came from "upload" or "camera", in their order."""
    return st.session_state.get(_key(source), ())


def at(source: str) -> int:
    """The place of the one that is shown."""
    return min(st.session_state.get(_place(source), 0), max(0, len(own(source)) - 1))


def show(source: str, place: int) -> None:
    """Show another one of them."""
    st.session_state[_place(source)] = place % max(1, len(own(source)))
    held = own(source)
    state.name_own(source, held[at(source)].name if held else None)


def take(files: Sequence[tuple[str, bytes]], source: str) -> str | None:
    """Make files the pictures of "upload" or "camera", instead of those before; the sentence on what was left out."""
    before = {picture.digest for picture in own(source)}
    held, total = list[OwnPicture](), 0
    for name, data in files[:MOST_PICTURES]:
        total += len(data)
        if total > MOST_BYTES:
            break
        held.append(_own(name, data))
    st.session_state[_key(source)] = tuple(held)
    new = (place for place, picture in enumerate(held) if picture.digest not in before)
    show(source, next(new, 0))  # what has just come is what a person wants to see
    if len(held) == len(files):
        return None
    left_out = f"{len(files) - len(held):,} of {len(files):,} pictures are left out"
    return f"{left_out}: at most {MOST_PICTURES:,} of together {MOST_BYTES / 1e6:.0f} MB are kept."


def _own(name: str, data: bytes) -> OwnPicture:
    folder, *_ = [*re.split(r"[\\/]", name)[-2:-1], ""]
    return OwnPicture(name, data, hashlib.sha256(data).hexdigest(), folder)


def _key(source: str) -> str:
    return f"pictures {source}"


def _place(source: str) -> str:
    return f"place {source}"


@st.cache_resource(max_entries=32, show_spinner=False)
def _load_opened(name: str, source: Source) -> LoadedImage:
    return codec.load(source, name)


@st.cache_resource(max_entries=32, show_spinner=False)
def _load(path: Path) -> LoadedImage:
    return codec.load(path)


@st.cache_resource(max_entries=32, show_spinner=False)
def _decoded(digest: str, _picture: OwnPicture) -> LoadedImage:
    return _picture.decoded()
