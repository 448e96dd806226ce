"""The part of the sidebar that chooses the picture: a sample, files of one's own to step through, or the camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from explorer.errors import UserError
from explorer.figures.raster import address
from explorer.images.codec import LoadedImage
from explorer.images.folder import PICTURE_SUFFIXES
from explorer.images.preprocess import resize
from explorer.ui import components, pictures, state
from explorer.ui.components import Tile
from explorer.ui.markdown import markdown_safe
from explorer.ui.pictures import OwnPicture
from explorer.ui.session import Session

SOURCES = {"sample": "Samples", "upload": "Upload", "camera": "Camera"}
PICTURE_MB = 25
STRIP = 8  # small pictures at a time
SMALL_PX = 56
_SAID = "left out of pictures"


def render(session: Session) -> None:
    """Draw the choice, the picture, and what is to be said of it."""
    asked = state.get("image")
    source = asked if asked in pictures.OWN else "sample"
    state.keep(
        st.segmented_control, "source", "Picture", source,
        pictures.choose, options=list(SOURCES), format_func=SOURCES.__getitem__, width="stretch", required=True,
    )  # fmt: skip
    if source == "sample" and (names := pictures.names()):
        state.keep(
            st.selectbox, "sample", "Sample", pictures.sample(), lambda name: state.put("image", name),
            options=list(names), format_func=pictures.title, label_visibility="collapsed",
        )  # fmt: skip
    elif source == "upload":
        _uploads()
    elif source == "camera":
        st.camera_input("Take a picture", key="photo", on_change=_hand_over, args=("photo", "camera"))
    _shown(session)


def _uploads() -> None:
    held, is_folder = pictures.own("upload"), st.session_state.get("a folder", False)
    if len(held) > 1:
        _strip(held, pictures.at("upload"))
    st.file_uploader(
        "Upload pictures", key="upload folder" if is_folder else "upload", label_visibility="collapsed",
        accept_multiple_files="directory" if is_folder else True, max_upload_size=PICTURE_MB,
        type=[suffix.removeprefix(".") for suffix in sorted(PICTURE_SUFFIXES)], on_change=_hand_over,
        args=("upload folder" if is_folder else "upload", "upload"),
    )  # fmt: skip
    st.checkbox("A whole folder", key="a folder", help="Its subfolders may name the classes of the pictures in them.")
    if said := st.session_state.get(_SAID):
        st.warning(said, icon=":material/filter_alt:")


def _strip(held: tuple[OwnPicture, ...], place: int) -> None:
    """The pictures around the one that is shown, and the way to the others."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.button("Previous picture", icon=":material/chevron_left:", key="picture before", type="tertiary",
                  on_click=pictures.show, args=("upload", place - 1))  # fmt: skip
        st.markdown(f":small[{place + 1:,} of {len(held):,}]", width="content")
        st.button("Next picture", icon=":material/chevron_right:", key="picture after", type="tertiary",
                  on_click=pictures.show, args=("upload", place + 1))  # fmt: skip
    first = max(0, min(place - STRIP // 2, len(held) - STRIP))
    around = range(first, min(first + STRIP, len(held)))
    tiles = [Tile(i, _thumbnail(held[i].digest, held[i]), "", held[i].name) for i in around]
    components.tiles(tiles, place, lambda i: pictures.show("upload", i), key="picture strip", columns=4)


@st.cache_data(max_entries=4_000, show_spinner=False)
def _thumbnail(digest: str, _picture: OwnPicture) -> str:
    """A square of the picture's middle; gray where it is broken."""
    try:
        return address(resize(_picture.load().pixels, (SMALL_PX, SMALL_PX), "crop"))
    except UserError:
        return address(np.full((SMALL_PX, SMALL_PX, 3), 128, np.uint8))


def _shown(session: Session) -> None:
    if session.image_error:
        st.error(markdown_safe(session.image_error), icon=":material/broken_image:")
    if session.image:
        height, width = session.image.pixels.shape[:2]
        caption = f"{markdown_safe(session.image.name)} · {width} × {height} px"
        st.image(_small(session.image), width="stretch", caption=caption, alt=session.image.name)
        for notice in session.image.notices:
            st.caption(markdown_safe(notice))


def _small(image: LoadedImage) -> np.ndarray:
    """The picture as large as the sidebar shows it."""
    height, width = image.pixels.shape[:2]
    scale = min(1.0, 600 / width, 900 / height)
    return resize(image.pixels, (max(1, round(height * scale)), max(1, round(width * scale))), "stretch")


def _hand_over(key: str, source: str) -> None:
    """Pass files on in the moment they arrive: the widget forgets them when it is not drawn."""
    given: Any = st.session_state[key]
    files = given if isinstance(given, list) else [given] if given else []
    found = [(file.name, file.getvalue()) for file in files]
    if key == "upload folder":  # whose files come in no order
        found.sort(key=lambda file: file[0])
    st.session_state[_SAID] = pictures.take(found, source)
