"""The receptive field: how it grows through the network, what one unit sees of the picture, and the proof of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.analysis.unproductive import OutgrownImage
from explorer.figures import field as figures
from explorer.ui import state
from explorer.ui.chart import chart
from explorer.ui.guard import guard
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.views.workbench import lens, proof
from explorer.views.workbench.notes import outgrown, warn_of_fields

STEP_S = 0.5  # between two layers, when they are played
SETTINGS = lens.SETTINGS
_PLAYING, _CURVE = "field is played", "growth"


def render(session: Session) -> None:
    """Draw the curve of growth, the chosen unit's field on the picture, and what is said of all layers."""
    if _is_playing():
        _play(session)
        return
    _lens(session, playing=False)
    with guard():
        _outgrown(session)
    with guard():
        proof.render(session)
    warn_of_fields(session.analysis)


def _lens(session: Session, playing: bool) -> None:
    names = lens.placed_layers(session)
    chosen = lens.layer_of(session)
    _controls(session, names, chosen, playing)
    _curve(session, chosen)
    with guard():
        lens.render(session, chosen, playing)


# -- the curve and the way through it ----------------------------------------------------------------------------------


def _curve(session: Session, chosen: str) -> None:
    figure = figures.marked_growth(session.analysis, chosen, outgrown(session))
    chart(figure, _CURVE, on_select=lambda: _pick(session), selection_mode="points")


def _pick(session: Session) -> None:
    """Choose the layer of the point that was clicked."""
    picked: Any = st.session_state[_CURVE].selection.points
    if picked and (data := picked[0].get("customdata")):
        lens.choose_layer(session, data[0] if isinstance(data, list | tuple) else data)


def _controls(session: Session, names: list[str], chosen: str, playing: bool) -> None:
    """The layer, one back, one on, and playing through all of them."""
    at = names.index(chosen)
    steps = (("before", ":material/skip_previous:", at - 1), ("next", ":material/skip_next:", at + 1))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        state.keep(st.selectbox, "layer", "Layer", chosen, lambda name: lens.choose_layer(session, name),
                   options=names, label_visibility="collapsed")  # fmt: skip
        for label, icon, to in steps:
            there = 0 <= to < len(names)
            st.button(icon, key=f"field {label}", help=f"The layer {label}", disabled=playing or not there,
                      on_click=lens.choose_layer, args=(session, names[to if there else at]))  # fmt: skip
        st.button("Stop" if playing else "Play", key="field play", on_click=_start_or_stop, args=(session, not playing),
                  icon=":material/stop:" if playing else ":material/play_arrow:",
                  help="Follow the same place of the picture through the layers, two a second.")  # fmt: skip


def _start_or_stop(session: Session, start: bool) -> None:
    st.session_state[_PLAYING] = start
    names = lens.placed_layers(session)
    if start and lens.layer_of(session) == names[-1]:
        lens.choose_layer(session, names[0])


def _is_playing() -> bool:
    return bool(st.session_state.get(_PLAYING))


def _play(session: Session) -> None:
    """The lens as a part of the page that draws itself again and again, one layer further each time."""
    first = [True]

    @st.fragment(run_every=STEP_S)
    def frame() -> None:
        names, chosen = lens.placed_layers(session), lens.layer_of(session)
        if not first[0] and _is_playing():
            at = names.index(chosen) + 1
            if at < len(names):
                lens.choose_layer(session, names[at])
            else:
                st.session_state[_PLAYING] = False
        first[0] = False
        if not _is_playing():
            st.rerun()
        _lens(session, playing=True)

    frame()


# -- the image that is too small ---------------------------------------------------------------------------------------


def _outgrown(session: Session) -> None:
    found, (rows, columns) = outgrown(session), session.input_size[1:]
    if found.unproductive:
        count, all_of_it = len(found.unproductive), sum(layer.kind == "conv" for layer in session.analysis.layers)
        words = (
            f"at {rows} × {columns} px: their input sees the whole picture already, by its shortest path, from "
            f"{found.unproductive[0]} on (Richter et al. 2021). {_mending(found)}"
        )
        st.markdown(f":orange-badge[{count} of {all_of_it} convolutions unproductive] :small[{markdown_safe(words)}]")
        _larger(session, found.productive_from_px)
    if found.exceeding:
        words = (
            f"The field of {len(found.exceeding)} layers is larger than the picture, from {found.exceeding[0]} on. "
            f"All would fit from {found.fits_from_px:,} px on."
        )
        st.caption(markdown_safe(words))


def _mending(found: OutgrownImage) -> str:
    """What would mend it, in words."""
    by_size = f"None would be from {found.productive_from_px:,} px on"
    if not found.strides:
        return f"{by_size}."
    first = [f"{step.layers[0]}{f' and {len(step.layers) - 1} beside it' if len(step.layers) > 1 else ''}"
             for step in found.strides]  # fmt: skip
    return f"{by_size}, or without the stride of {', '.join(first)}."


def _larger(session: Session, side_px: int) -> None:
    """A button for the image that would do, where the network's own knob reaches it."""
    knob = type(session.spec).knobs().get("image_size") if session.is_ours else None
    if knob is not None and (knob.high is None or side_px <= knob.high):
        st.button(f"Take {side_px:,} px", key="larger image", icon=":material/open_in_full:", on_click=state.put_knobs,
                  args=({"image_size": side_px},), help="Sets the knob image_size.")  # fmt: skip
