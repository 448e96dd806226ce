"""The network's figures on top of the page, with their differences from the preset's."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from explorer.analysis.depth import depth
from explorer.analysis.structure import Analysis
from explorer.figures import units
from explorer.figures.caveats import field_text
from explorer.receptive_field.report import ReceptiveField
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session


def render(session: Session) -> None:
    """Draw the three that people compare by loud, the others beside them; dimmed where they are of another network."""
    now, before = session.analysis, session.preset_analysis
    refused = session.spec_error is not None
    with st.container(key=DIMMED if refused else SHOWN_KEY):
        if refused:
            st.html(f"<style>.st-key-{DIMMED} {{ opacity: 0.55 }}</style>")
            st.caption("Of the last network that could be built:")
        with st.container(horizontal=True, wrap=False, gap="large"):  # a phone scrolls through them
            _metric("Parameters", now, before, lambda a: a.params, units.count, "Learned numbers, at any time.")
            _metric("MACs", now, before, lambda a: a.macs, units.count, "Multiply-accumulates for one image.")
            _receptive_field(now, before)
            for quiet in QUIET:
                _quiet(now, before, *quiet)


def _metric(
    label: str, now: Analysis, before: Analysis | None, figure: Callable[[Analysis], int], show: Callable[[int], str],
    help: str,
) -> None:  # fmt: skip
    value, old = figure(now), figure(before) if before else None
    difference = _difference(value, old)
    st.metric(
        label, show(value), difference, delta_color="off", delta_arrow="off" if difference in (None, SAME) else "auto",
        width="content", help=f"{help} {_exactly(value, old)}",
    )  # fmt: skip


def _difference(value: int, old: int | None) -> str | None:
    """From the preset; None where there is none."""
    return None if old is None else units.difference(value, old) or SAME


def _exactly(value: int, old: int | None, unit: str = "") -> str:
    return f"Exactly {value:,}{unit}" + ("." if old is None else f"; the preset has {old:,}.")


def _quiet(
    now: Analysis, before: Analysis | None, label: str, figure: Callable[[Analysis], int], show: Callable[[int], str],
    help: str, unit: str,
) -> None:  # fmt: skip
    value, old = figure(now), figure(before) if before else None
    beside = _difference(value, old)
    st.markdown(
        f":small[{label}]  \n{markdown_safe(show(value))}" + (f"  \n:small[:gray[{beside}]]" if beside else ""),
        help=f"{help} {_exactly(value, old, unit)}", width="content",
    )  # fmt: skip


def _receptive_field(now: Analysis, before: Analysis | None) -> None:
    strict, local = now.receptive_field, now.local_receptive_field
    beside = _field_difference(strict, before.receptive_field) if before else None
    gates = "" if strict.size == local.size else f" Without gates that read the whole map: {units.pair(local.size)} px."
    st.metric(
        "Receptive field",
        field_text(_seen(strict), now[now.head_layer].certainty),
        beside,
        delta_color="off",
        delta_arrow="auto" if beside and beside[0] in "+−-" else "off",
        width="content",
        help=f"Pixels that one unit of the last map ({now.head_layer}) sees; global is the whole image. Stride "
        f"{units.pair(strict.stride)} px, padding {units.pair(strict.padding)} px.{gates}",
    )  # fmt: skip


def _field_difference(now: ReceptiveField, old: ReceptiveField) -> str:
    """In pixels; where one of them is global, what the preset's is."""
    pixels = "" if now.is_global or old.is_global else units.difference(now.size[0], old.size[0])
    same = (now.is_global, now.size) == (old.is_global, old.size)
    return pixels or (SAME if same else f"preset: {_seen(old)}")


def _seen(field: ReceptiveField) -> str:
    return "global" if field.is_global else f"{units.pair(field.size)} px"


SAME = "± 0"  # stands where a difference would, so that nothing moves when there is one
SHOWN_KEY = "figures"
DIMMED = "figures-of-the-last-network"
QUIET: tuple[tuple[str, Callable[[Analysis], int], Callable[[int], str], str, str], ...] = (
    ("Activations", lambda a: a.activation_bytes, units.format_bytes,
     "What all layers put out for one image, in float32.", " bytes"),
    ("Peak memory", lambda a: a.peak_bytes, units.format_bytes,
     "The most that is held at once at inference, beside the weights.", " bytes"),
    ("On disk", lambda a: a.weight_bytes, units.format_bytes, "Parameters and buffers in float32.", " bytes"),
    ("Depth", lambda a: depth(a.graph), str,
     "Convolutions and linear layers on the longest way from image to classes.", " layers"),
)  # fmt: skip
