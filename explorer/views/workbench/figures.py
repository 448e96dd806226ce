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
    label: str, now: Analysis, before: Analysis, figure: Callable[[Analysis], int], show: Callable[[int], str],
    help: str, unit: str = "",
) -> None:  # fmt: skip
    value, old = figure(now), figure(before)
    difference = units.difference(value, old)
    st.metric(
        label, show(value), difference or SAME, delta_color="off", delta_arrow="auto" if difference else "off",
        width="content",
        help=f"{help} Exactly {value:,}{unit}; the preset has {old:,}.",
    )  # fmt: skip


def _quiet(
    now: Analysis, before: Analysis, label: str, figure: Callable[[Analysis], int], show: Callable[[int], str],
    help: str, unit: str,
) -> None:  # fmt: skip
    value, old = figure(now), figure(before)
    st.markdown(
        f":small[{label}]  \n{markdown_safe(show(value))}  \n:small[:gray[{units.difference(value, old) or SAME}]]",
        help=f"{help} Exactly {value:,}{unit}; the preset has {old:,}.", width="content",
    )  # fmt: skip


def _receptive_field(now: Analysis, before: Analysis) -> None:
    strict, local = now.receptive_field, now.local_receptive_field
    old = before.receptive_field
    delta = None if strict.is_global or old.is_global else units.difference(strict.size[0], old.size[0])
    unlike = SAME if (strict.is_global, strict.size) == (old.is_global, old.size) else f"preset: {_seen(old)}"
    gates = "" if strict.size == local.size else f" Without gates that read the whole map: {units.pair(local.size)} px."
    st.metric(
        "Receptive field",
        field_text(_seen(strict), now[now.head_layer].certainty),
        delta or unlike,
        delta_color="off",
        delta_arrow="auto" if delta else "off",
        width="content",
        help=f"Pixels that one unit of the last map ({now.head_layer}) sees; global is the whole image. Stride "
        f"{units.pair(strict.stride)} px, padding {units.pair(strict.padding)} px.{gates}",
    )  # fmt: skip


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
