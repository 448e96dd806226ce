"""Architecture: knobs, figures, layer graph, layers, receptive fields, costs and how other tools count them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from explorer.analysis.depth import depth
from explorer.analysis.structure import Analysis
from explorer.figures import graph_dot, layers, overlay, units
from explorer.figures.caveats import field_text, inexact_fields, uncounted_macs, weight_products
from explorer.graph import fold
from explorer.ui import state, theme, widgets
from explorer.ui.guard import guard
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session, partial_analysis
from explorer.ui.settings import Setting
from explorer.ui.view import View
from explorer.views.architecture import receipt


def render(session: Session) -> None:
    """Draw the whole page: figures on top, a panel beside the knobs."""
    with guard():
        _metrics(session)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if session.spec_error:
            with guard():
                _failure(session, session.spec_error)
        state.control(
            st.segmented_control, "panel", "Panel", options=list(PANELS), required=True,
            label_visibility="collapsed", format_func=lambda name: PANELS[name][0],
        )  # fmt: skip
        with guard():  # a panel that cannot be drawn must not take the knobs away
            PANELS[state.get("panel")][1](session)
    with right, guard():
        _knobs(session)


# -- figures at the top -----------------------------------------------------------------------------------------------


def _metrics(session: Session) -> None:
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


# -- knobs ------------------------------------------------------------------------------------------------------------


def _knobs(session: Session) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Knobs", anchor=False)
        changed = len(state.knobs())
        st.button("Reset all", icon=":material/undo:", disabled=not changed, on_click=state.clear_knobs,
                  help=f"Back to {session.preset}.")  # fmt: skip
    widgets.knobs(session.preset_spec)


def _failure(session: Session, why: str) -> None:
    """Why the knobs at hand make no network, and its graph up to where it stops."""
    st.error(f"These knobs make no network: {markdown_safe(why)}", icon=":material/error:")
    partial = partial_analysis(session)
    if partial:
        failure = partial.graph.failure
        title = f"As far as it goes: up to {failure.path}" if failure else "What torch would build of them"
        with st.expander(title, expanded=True):
            _draw(partial, fold.best_depth(partial.graph))
    st.caption("Figures and panels show the last network that can be built.")


# -- panels -----------------------------------------------------------------------------------------------------------


def _graph(session: Session) -> None:
    graph = session.analysis.graph
    deepest = fold.max_depth(graph)
    level = min(state.get("fold") or fold.best_depth(graph), deepest)
    if deepest > 1:
        state.keep(
            st.segmented_control, "fold", "Detail", level, lambda value: state.put("fold", value), required=True,
            options=list(range(1, deepest + 1)),
            help="How many levels of nested modules are opened; × N marks what repeats.",
        )  # fmt: skip
    _draw(session.analysis, level, session.layer)


def _draw(analysis: Analysis, level: int, selected: str | None = None) -> None:
    source = graph_dot.dot(fold.fold(analysis.graph, level), dark=theme.is_dark(), selected=selected)
    with st.container(border=True, horizontal_alignment="center"):
        st.graphviz_chart(source, width="content", alt=f"Graph of {len(analysis.graph)} layers, as listed under Layers")


def _fields(session: Session) -> None:
    st.plotly_chart(layers.growth(session.analysis, session.layer), key="growth", config=_PLAIN)
    names = [layer.id for layer in session.analysis.layers if layers.has_positions(layer)]
    chosen = session.layer if session.layer in names else names[-1]  # the input, if no other
    state.keep(st.selectbox, "layer", "Layer", chosen, lambda name: state.put("layer", name), options=names)
    report = session.analysis[chosen]
    rows, columns = report.output_shape[2:]
    picture, controls = st.columns([3, 2], gap="medium")
    with controls:
        row, column = _position("row", rows), _position("column", columns)
        top, left, bottom, right = box = report.receptive_field.box(row, column)
        st.caption(_explain(report, (row, column), box))
    picture.image(overlay.boxed(session.view, box), width="stretch",
                  alt=f"Rows {top} to {bottom}, columns {left} to {right} of the picture")  # fmt: skip
    _warn_of_fields(session.analysis)


def _warn_of_fields(analysis: Analysis) -> None:
    if inexact := inexact_fields(analysis):
        say = st.warning if analysis.not_followed else st.caption
        say(markdown_safe(f"{inexact[0].upper()}{inexact[1:]}."))


def _position(name: str, size: int) -> int:
    """The chosen row or column of the map, its middle where none is chosen."""
    chosen = state.get(name)
    position = chosen if 0 <= chosen < size else size // 2
    if size > 1:
        state.keep(st.slider, name, name.capitalize(), position, lambda value: state.put(name, value),
                   min_value=0, max_value=size - 1)  # fmt: skip
    return position


def _explain(report: Any, unit: tuple[int, int], box: tuple[int, int, int, int]) -> str:
    top, left, bottom, right = box
    rows, columns = report.output_shape[2:]
    field = report.receptive_field
    sees = {"exact": "sees", "bounded": "sees at most", "unknown": "may see"}[report.certainty]
    clipped = (bottom - top, right - left) != field.size and not field.is_global
    return (
        f"The unit at row {unit[0]}, column {unit[1]} of the {rows} × {columns} map {sees} "
        f"{units.pair(field.size)} px: rows {top} to {bottom - 1}, columns {left} to {right - 1}"
        + (" (the rest lies in the padding). " if clipped else ". ")
        + f"Neighbours are {units.pair(field.stride)} px apart."
    )


def _costs(session: Session) -> None:
    st.plotly_chart(layers.costs(session.analysis), key="costs", config=_PLAIN)
    st.caption("A stage is all layers whose maps have the same size; tokens are a sequence, the head has no positions.")
    if alone := weight_products(session.analysis):
        st.caption(f"{alone[0].upper()}{alone[1:]}.")
    if missing := uncounted_macs(session.analysis.uncounted):
        st.warning(markdown_safe(f"{missing}."))


def _table(session: Session) -> None:
    rows = [_table_row(session.analysis, report) for report in session.analysis.layers]
    key = f"layers {session.key[0]}"
    place = next(i for i, row in enumerate(rows) if row["Layer"] == session.layer)
    st.dataframe(
        rows, key=key, hide_index=True, height=620, selection_mode="single-row", column_config=_COLUMNS,
        on_select=lambda: _select(key, rows), selection_default={"selection": {"rows": [place]}},
    )  # fmt: skip
    st.caption(f"Chosen: **{session.layer}**. Select a row to choose its layer in all views.")
    _warn_of_fields(session.analysis)


def _select(key: str, rows: list[dict[str, Any]]) -> None:
    if chosen := st.session_state[key].selection.rows:
        state.put("layer", rows[chosen[0]]["Layer"])


def _table_row(analysis: Analysis, report: Any) -> dict[str, Any]:
    window, field = analysis.graph[report.id].window, report.receptive_field
    return {
        "Layer": report.id,
        "Kind": report.kind.replace("_", " "),
        "Output": units.shape(report.output_shape),
        "Window": f"{units.pair(window.kernel)} / {units.pair(window.stride)}" if window else "",
        "Parameters": report.params,
        "MACs": report.macs,
        "Field (px)": field_text("whole image" if field.is_global else units.pair(field.size), report.certainty),
    }


_COLUMNS = {
    "Layer": st.column_config.TextColumn(width=140, pinned=True),
    "Window": st.column_config.TextColumn(help="Kernel / stride, in positions of the layer's input."),
    "Parameters": st.column_config.NumberColumn(format="localized"),
    "MACs": st.column_config.NumberColumn(format="localized", width=110),
    "Field (px)": st.column_config.TextColumn(
        help="Receptive field, in pixels of the image; ≤ where it is an upper bound."
    ),
}
_PLAIN = {"displayModeBar": False}
PANELS: dict[str, tuple[str, Callable[[Session], None]]] = {
    "graph": ("Graph", _graph),
    "fields": ("Receptive field", _fields),
    "costs": ("Cost", _costs),
    "receipt": ("Receipt", receipt.render),
    "layers": ("Layers", _table),
}

VIEW = View(
    "architecture", "Architecture", ":material/account_tree:", 0, render,
    settings=(
        Setting("panel", "graph", choices=tuple(PANELS)),
        Setting("fold", 0, low=0, high=99),
        receipt.SETTING,
    ),
)  # fmt: skip
