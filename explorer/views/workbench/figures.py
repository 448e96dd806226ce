"""The network's figures on top of the page, with their differences from the preset's."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from explorer.analysis.depth import depth
from explorer.analysis.structure import Analysis
from explorer.figures import units
from explorer.figures.caveats import field_text
from explorer.ui.session import Session


def render(session: Session) -> None:
    """Draw one figure beside the other."""
    now, before = session.analysis, session.preset_analysis
    with st.container(border=True), st.grid(min_column_width=116, gap="small"):
        _metric("Parameters", now, before, lambda a: a.params, units.count, "Learned numbers, at any time.")
        _metric("MACs", now, before, lambda a: a.macs, units.count, "Multiply-accumulates for one image.")
        _metric("Activations", now, before, lambda a: a.activation_bytes, units.format_bytes,
                "What all layers put out for one image, in float32.", " bytes")  # fmt: skip
        _metric("Peak memory", now, before, lambda a: a.peak_bytes, units.format_bytes,
                "The most that is held at once at inference, beside the weights.", " bytes")  # fmt: skip
        _metric("On disk", now, before, lambda a: a.weight_bytes, units.format_bytes,
                "Parameters and buffers in float32.", " bytes")  # fmt: skip
        _metric("Depth", now, before, lambda a: depth(a.graph), str,
                "Convolutions and linear layers on the longest way from image to classes.", " layers")  # fmt: skip
        _receptive_field(now, before)


def _metric(
    label: str, now: Analysis, before: Analysis, figure: Callable[[Analysis], int], show: Callable[[int], str],
    help: str, unit: str = "",
) -> None:  # fmt: skip
    value, old = figure(now), figure(before)
    st.metric(
        label, show(value), units.difference(value, old), delta_color="off",
        help=f"{help} Exactly {value:,}{unit}; the preset has {old:,}.",
    )  # fmt: skip


def _receptive_field(now: Analysis, before: Analysis) -> None:
    strict, local = now.receptive_field, now.local_receptive_field
    old = before.receptive_field
    delta = None if strict.is_global or old.is_global else units.difference(strict.size[0], old.size[0])
    gates = "" if strict.size == local.size else f" Without gates that read the whole map: {units.pair(local.size)} px."
    st.metric(
        "Receptive field",
        field_text("global" if strict.is_global else f"{units.pair(strict.size)} px", now[now.head_layer].certainty),
        delta,
        delta_color="off",
        help=f"Pixels that one unit of the last map ({now.head_layer}) sees; global is the whole image. Stride "
        f"{units.pair(strict.stride)} px, padding {units.pair(strict.padding)} px.{gates}",
    )  # fmt: skip
