"""The sidebar: architecture, preset, weights, picture and device; each error beside what caused it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

import models
from explorer.networks import libraries
from explorer.ui import jobs, opened, picture_choice, pictures, state, weights, weights_controls, weights_file, widgets
from explorer.ui import session as sessions
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from models.weights.own_file import SUFFIXES
from models.weights.sources import WeightsSource

WEIGHTS_MB = 1000
WEIGHTS_TYPES = [suffix.removeprefix(".") for suffix in SUFFIXES]


def render(session: Session, of_network: bool = True) -> None:
    """Draw the whole sidebar, or only what matters to a view that does not show its network."""
    with st.sidebar:
        st.markdown("**CNN Architecture Explorer**")
        if of_network:
            _architecture(session)
            _weights(session)
            picture_choice.render(session)
        else:
            st.caption(f"{session.preset}, its weights and the picture wait in the other views.")
        _device(session)


def shown(session: Session) -> tuple[Any, ...]:
    """What the sidebar shows of the session: where it is as before, the sidebar need not be drawn again."""
    return (
        session.preset, state.get("weights"), weights_file.uploaded(), session.source, session.weights_error,
        session.kept_sentence, session.has_seed, session.seed, session.image and session.image.digest,
        session.image_error, session.device, tuple(one.digest for one in pictures.own("upload")),
    )  # fmt: skip


def _architecture(session: Session) -> None:
    ours = {entry.name: f"{entry.year} · {entry.title}" for entry in models.architectures()}
    titles = opened.titles() | ours | opened.library_titles()
    state.keep(
        st.selectbox, "architecture", "Architecture", session.architecture.name if session.is_ours else session.preset,
        lambda name: state.put("preset", name if ":" in name else _first(name)), options=list(titles),
        format_func=titles.__getitem__,
        help="By year, then those of torchvision and timm; type to search. "
        + ("" if libraries.has_timm() else f"timm is not installed: {libraries.INSTALL_TIMM}"),
    )  # fmt: skip
    with st.expander("A network of your own, as a file", icon=":material/upload_file:"):
        _upload("network file", "A file .onnx or .pt2", _open_network, type=["onnx", "pt2"], max_upload_size=WEIGHTS_MB)
        if (refused := opened.refusal()) is not None:
            st.error(markdown_safe(refused), icon=":material/error:")
    if not session.is_ours:
        st.caption(markdown_safe(opened.summary(session.network)))
        return
    presets = session.architecture.presets
    state.control(st.selectbox, "preset", "Preset", options=list(presets))
    paper = session.architecture.paper
    st.caption(session.architecture.summary)
    widgets.paper(paper)


def _open_network(data: bytes | None, name: str) -> None:
    if (network := opened.take_file(data, name)) is not None:
        state.put("preset", network)


def _first(architecture: str) -> str:
    presets = next(entry.presets for entry in models.architectures() if entry.name == architecture)
    return next(iter(presets))


def _weights(session: Session) -> None:
    if session.network.own_weights is not None:
        st.caption(markdown_safe(session.source.note))
        if session.source.kind == "held" and not session.preset.startswith(opened.IN_FILE):
            st.button("Take the newest weights", key="look again", icon=":material/refresh:", width="stretch",
                      on_click=opened.look_again, args=(session.preset,))  # fmt: skip
        return
    found = {source.name: source.title for source in weights.offered(session.preset)} | {weights.FILE: "Your own file"}
    asked = state.get("weights")
    shown = asked if asked in found else session.source.name
    state.keep(
        st.selectbox, "weights", "Weights", shown, lambda name: state.put("weights", name),
        options=list(found), format_func=found.__getitem__,
    )  # fmt: skip
    if asked == weights.FILE:
        _upload("weights file", "A file of weights", weights_file.take, type=WEIGHTS_TYPES, max_upload_size=WEIGHTS_MB)
        weights_controls.render(session)
    elif session.weights_error:
        st.error(markdown_safe(session.weights_error), icon=":material/error:")
    else:
        st.caption(markdown_safe(session.source.note))
    _kept(session)
    if session.has_seed:
        state.control(st.number_input, "seed", "Seed", min_value=0, max_value=2**31 - 1, step=1)
    _download(session.source)


def _kept(session: Session) -> None:
    """What changed knobs left of the weights, and the way back."""
    if (told := session.kept_sentence) is not None:
        st.caption(markdown_safe(told))
        st.button(
            f"Back to {session.preset}", key="unchanged", icon=":material/undo:", width="stretch",
            on_click=state.clear_knobs, help="All knobs as the preset has them, and with them all of its weights.",
        )  # fmt: skip


def _download(source: WeightsSource) -> None:
    if not source.needs_download:
        return
    job = jobs.current(weights.DOWNLOAD)  # one of another preset goes on
    is_own = job is not None and job.key == (weights.DOWNLOAD, source.url or "")
    if job is None or job.finished or not is_own:
        if job and job.error and is_own:
            st.error(markdown_safe(job.error), icon=":material/cloud_off:")
        st.button("Download", key="download", icon=":material/download:", on_click=_start_download, args=(source,),
                  width="stretch")  # fmt: skip
        return
    jobs.show(job, "Downloading")


def _start_download(source: WeightsSource) -> None:
    jobs.discard(weights.DOWNLOAD)
    weights.download_job(source)


def _upload(key: str, label: str, take: Callable[[bytes | None, str], None], **options: Any) -> None:
    st.file_uploader(
        label, key=key, on_change=_hand_over, args=(key, take), label_visibility="collapsed", **options
    )  # fmt: skip


def _hand_over(key: str, take: Callable[[bytes | None, str], None]) -> None:
    """Pass a file on in the moment it arrives: the widget forgets it when it is not drawn."""
    file = st.session_state[key]
    take(file.getvalue(), file.name) if file else take(None, "")


def _device(session: Session) -> None:
    names = {info.device: info.name for info in sessions.devices()}
    if session.network.device is not None:
        st.caption(f"Device: {names.get(session.device, session.device)}, where your network is.")
    elif len(names) > 1:
        state.keep(
            st.selectbox, "device", "Device", session.device, lambda value: state.put("device", value),
            options=list(names), format_func=names.__getitem__,
        )  # fmt: skip
    else:
        st.caption(f"Device: {names[session.device]}")
