"""One unit on the picture: the box that it can see, how much each pixel of it counts, and whom a pixel reaches."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import streamlit as st
from torch import Tensor

from explorer.analysis.effective_field import (
    MASS_SHARES,
    EffectiveField,
    Unit,
    centre_of,
    effective_field_steps,
    noise,
)
from explorer.analysis.projective_field import projective_field
from explorer.analysis.structure import LayerReport
from explorer.errors import UserError, in_percent
from explorer.figures import field as figures
from explorer.figures import layers, raster, units
from explorer.figures.raster import Placement
from explorer.types import Box, Cell, Size
from explorer.ui import components, state
from explorer.ui.awaited import awaited
from explorer.ui.components import Legend, Outline
from explorer.ui.guard import attempt
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.views.workbench import proof

LENSES = {"box": "Can see", "effective": "Does see", "projective": "Reaches"}
LENS_INPUTS = {"noise": "Noise", "picture": "The picture"}
SUMS = {"all": "All channels", "one": "One channel"}
MOST_INPUTS = 200
HEAT_OPACITY = 0.85
SETTINGS = (
    Setting("lens", "box", choices=tuple(LENSES)),
    Setting("lens_source", "noise", choices=tuple(LENS_INPUTS)),
    Setting("lens_inputs", 10, low=1, high=MOST_INPUTS),
    Setting("lens_seed", 0, low=0, high=2**31 - 1),
    Setting("lens_sum", "all", choices=tuple(SUMS)),
    Setting("reach_from", "", of_network=True),  # the layer whose unit's reach is shown; "" for the picture
    Setting("pixel_row", -1, low=-1, high=65_535, of_network=True),  # of that unit, or of the pixel
    Setting("pixel_column", -1, low=-1, high=65_535, of_network=True),
)
_EDGE = 1e-9  # of the mass: what rounding may leave outside the field


def render(session: Session, layer: str, playing: bool) -> None:
    """Draw what is chosen of the three; while layers are played, the box alone."""
    report = session.analysis[layer]
    if not playing:
        state.control(st.segmented_control, "lens", "Lens", options=list(LENSES), required=True, width="stretch",
                      format_func=LENSES.__getitem__, label_visibility="collapsed")  # fmt: skip
    attempt(lambda: session.view)  # why there is no picture is said once, and all is drawn on gray
    shown = "box" if playing else state.get("lens")
    {"box": _box, "effective": _effective, "projective": _projective}[shown](session, report)


# -- choices ----------------------------------------------------------------------------------------------------------


def placed_layers(session: Session) -> list[str]:
    """The layers whose units see different parts of the picture, in order."""
    return [layer.id for layer in session.analysis.layers if layers.has_positions(layer)]


def layer_of(session: Session) -> str:
    """The chosen layer; the last with positions where that has none."""
    names = placed_layers(session)
    return session.layer if session.layer in names else names[-1]  # the input, if no other


def choose_layer(session: Session, name: str) -> None:
    """Choose a layer, and in it the unit at the place of the picture where the chosen one was."""
    if name == state.get("layer") or name not in session.analysis.graph:
        return
    before, after = session.analysis[layer_of(session)], session.analysis[name]
    cell = unit_of(before) if state.get("row") >= 0 or state.get("column") >= 0 else None
    for key, value in (("layer", name), ("channel", -1)):
        state.put(key, value)
    if cell is not None and layers.has_positions(after):
        _choose_unit(_nearest(_placement(session, after), centre_of(before.local_receptive_field, cell, _size(before))))


def _nearest(at: Placement, centre: tuple[float, float]) -> Cell:
    row, column = (int(abs(cells - to).argmin()) for cells, to in zip((at.rows, at.columns), centre, strict=True))
    return row, column


def unit_of(report: LayerReport) -> Cell:
    """The chosen (row, column) of the layer's map, its middle where none is chosen."""
    return _chosen("", report)


def _choose_unit(cell: Cell) -> None:
    _choose("", cell)


def _chosen(kind: str, report: LayerReport) -> Cell:
    """The position in a layer's map that two settings of the state say, the middle where they say none."""
    said = state.get(f"{kind}row"), state.get(f"{kind}column")
    row, column = (at if 0 <= at < n else n // 2 for at, n in zip(said, _size(report), strict=True))
    return row, column


def _choose(kind: str, cell: Cell) -> None:
    state.put(f"{kind}row", cell[0])
    state.put(f"{kind}column", cell[1])


def _size(report: LayerReport) -> Size:
    return report.output_shape[2], report.output_shape[3]


def _placement(session: Session, report: LayerReport) -> Placement:
    image = session.input_size[1:]
    return raster.placed(report.local_receptive_field.axes, _size(report), (image[0], image[1]))


def _backdrop(session: Session) -> np.ndarray:
    """The picture; where none can be shown, a gray one."""
    try:
        return session.view
    except UserError:
        return np.full((*session.input_size[1:], 3), 190, np.uint8)


# -- what it can see ---------------------------------------------------------------------------------------------------


def _box(session: Session, report: LayerReport) -> None:
    unit = unit_of(report)
    box = report.local_receptive_field.box(*unit)
    _picture(session, report, figures.seen(_backdrop(session), box), _frames(report, unit))
    st.caption(markdown_safe(_seen(session, report, unit)))


def _frames(report: LayerReport, unit: Cell) -> list[Outline]:
    """The box; dashed what gates add to it."""
    strict, local = report.receptive_field.box(*unit), report.local_receptive_field.box(*unit)
    return [Outline(local, "theoretical field"), *([Outline(strict, "with gates", dashed=True)] * (strict != local))]


def _picture(
    session: Session, report: LayerReport, shown: np.ndarray, frames: list[Outline], legend: Legend | None = None
) -> None:
    components.picture(
        shown, f"The picture with the field of a unit of {report.id}", key="lens", at=_placement(session, report),
        outlines=frames, chosen=unit_of(report), pick=_choose_unit, legend=legend,
    )  # fmt: skip


def _seen(session: Session, report: LayerReport, unit: Cell) -> str:
    """Which unit sees how much, and what of it lies in the padding."""
    field, (rows, columns) = report.local_receptive_field, _size(report)
    top, left, bottom, right = field.box(*unit)
    sees = {"exact": "can see", "bounded": "can see at most", "unknown": "may see"}[report.certainty]
    size = f"{field.size[0]} × {field.size[1]} px"
    where = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}" if bottom else "none of the picture"
    gates = "; by gates, all of the picture" if report.receptive_field.is_global else ""
    return (
        f"Row {unit[0]}, column {unit[1]} of {rows} × {columns} {sees} {size}: {where}{gates}. "
        f"{_clipped(session, report, unit)}Neighbours are {units.pair(field.stride)} px apart. "
        f"Click the picture for another unit. {proof.said_of(session, report.id)}"
    )


def _clipped(session: Session, report: LayerReport, unit: Cell) -> str:
    """What of the field lies beyond the picture, side by side."""
    field, parts = report.local_receptive_field, list[str]()
    if field.boxes is not None:
        return ""
    for axis, at, length, names in zip(field.axes, unit, session.input_size[1:], _BEYOND, strict=True):
        ends = None if axis.is_global else axis.interval(at)
        beyond = (max(0, -ends[0]), max(0, ends[1] + 1 - length)) if ends else (0, 0)
        parts += [f"{count} px {name}" for count, name in zip(beyond, names, strict=True) if count]
    return f"Beyond the picture, in the padding, lie {', '.join(parts)}. " if parts else ""


_BEYOND = (("above", "below"), ("left", "right"))


# -- what it does see --------------------------------------------------------------------------------------------------


def _effective(session: Session, report: LayerReport) -> None:
    unit = Unit(report.id, *unit_of(report), _channel(session))
    settings = (state.get("lens_source"), state.get("lens_inputs"), state.get("lens_seed"))
    centre = centre_of(report.local_receptive_field, (unit.row, unit.column), _size(report))

    def work(job: Job) -> EffectiveField:
        program = session.load(job.should_stop).program
        steps = effective_field_steps(program, unit, centre, _inputs(session, *settings), job.should_stop)
        found = None
        for found in steps:
            job.progress(found.inputs, _count(*settings), found)
        assert found is not None
        return found

    def partial(job: Job) -> None:
        if job.partial is not None:
            _heat(session, report, unit, job.partial)

    found = awaited("effective field", (*session.key, unit, settings), "Gradients", work, partial)
    if found is not None:
        _heat(session, report, unit, found)
        st.caption(markdown_safe(_mass(session, report, unit, found)))
    _effective_controls(session)


def _effective_controls(session: Session) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        state.control(st.segmented_control, "lens_source", "Inputs", options=list(LENS_INPUTS), required=True,
                      format_func=LENS_INPUTS.__getitem__)  # fmt: skip
        if state.get("lens_source") == "noise":
            state.control(
                st.number_input, "lens_inputs", "How many", min_value=1, max_value=MOST_INPUTS, step=1, width=110
            )
            state.control(st.number_input, "lens_seed", "Seed", min_value=0, max_value=2**31 - 1, step=1, width=82)
        if session.channel is not None:
            state.control(st.segmented_control, "lens_sum", "Unit", options=list(SUMS), required=True,
                          format_func=SUMS.__getitem__)  # fmt: skip


def _channel(session: Session) -> int | None:
    return session.channel if state.get("lens_sum") == "one" else None


def _count(source: str, count: int, _seed: int) -> int:
    return count if source == "noise" else 1


def _inputs(session: Session, source: str, count: int, seed: int) -> Iterable[Tensor]:
    if source == "picture":
        return [session.input]
    return (image.to(session.device) for image in noise(session.input_size, count, seed))


def _heat(session: Session, report: LayerReport, unit: Unit, found: EffectiveField) -> None:
    cell = unit.row, unit.column
    shares = () if found.is_zero else MASS_SHARES
    frames = [Outline(_square(found, share), f"{in_percent(share)} of the mass", dashed=True) for share in shares]
    frames.append(Outline(report.local_receptive_field.box(*cell), "theoretical field"))
    legend = Legend("Mean |gradient|, root scale: 1 is the strongest pixel", raster.CIVIDIS, "0", "1")
    _picture(session, report, figures.heat(_backdrop(session), found.mass, HEAT_OPACITY), frames, legend)


def _square(found: EffectiveField, share: float) -> Box:
    (row, column), radius = found.centre, found.radius(share)
    ends = row - radius, column - radius, row + radius, column + radius
    top, left, bottom, right = (round(end) for end in ends)
    return top, left, bottom, right


def _mass(session: Session, report: LayerReport, unit: Unit, found: EffectiveField) -> str:
    what = "the sum of all channels" if unit.channel is None else f"channel {unit.channel}"
    of = f"{found.inputs:,} noise inputs" if state.get("lens_source") == "noise" else "the picture"
    if found.is_zero:
        return f"The gradient of {what} at row {unit.row}, column {unit.column} is 0 for {of}: the unit is off."
    radii = ", ".join(f"{in_percent(share)} within {found.radius(share):g} px" for share in MASS_SHARES)
    half = max(report.local_receptive_field.size) / 2
    return (
        f"|Gradient| of {what} at row {unit.row}, column {unit.column}, over {of}: {radii} of the unit's centre "
        f"(dashed squares; the theoretical field ends at {half:g} px). {_outside(report, unit, found)}"
        f"{proof.said_of(session, report.id)}"
    )


def _outside(report: LayerReport, unit: Unit, found: EffectiveField) -> str:
    """Whether the gradient keeps to the theoretical field, and how much of it comes by gates."""
    cell = unit.row, unit.column
    strict, local = (
        1 - found.within(field.box(*cell)) for field in (report.receptive_field, report.local_receptive_field)
    )
    if strict > _EDGE:
        return f"{100 * strict:.2g} % lies outside the theoretical field, which is a counter-example to it. "
    if local > _EDGE:
        return f"{100 * local:.2g} % comes by gates, from outside the local field. "
    return "None lies outside the field. "


# -- whom a pixel or a unit reaches ------------------------------------------------------------------------------------


def _projective(session: Session, report: LayerReport) -> None:
    origin = _origin(session, report)
    source, analysis = _source(origin), session.analysis
    local = report.local_receptive_field is not report.receptive_field
    name = None if origin.kind == "input" else origin.id

    def work(job: Job) -> dict[str, np.ndarray]:
        return projective_field(analysis, source, name, local=local, cancel=job.should_stop)

    found = awaited("projective field", (*session.key, source, name, local), f"Following the {_what(origin)}", work)
    if found is None:
        return
    mask = found.get(report.id)
    if mask is None:
        st.caption(markdown_safe(f"Nothing is told of {report.id}: it is where the way begins, or has no rule here."))
        return
    components.picture(
        figures.reached(_backdrop(session), mask, _placement(session, report)),
        f"Units of {report.id} that a {_what(origin)} reaches", key="projective", at=_placement(session, origin),
        outlines=[Outline(origin.local_receptive_field.box(*source), f"the {_what(origin)}")], chosen=source,
        pick=_choose_source,
    )  # fmt: skip
    st.caption(markdown_safe(_reached(report, origin, source, mask)))


def _origin(session: Session, report: LayerReport) -> LayerReport:
    """The layer from which the way is followed: one before that at hand, or the picture."""
    layers_before = placed_layers(session)[: placed_layers(session).index(report.id)]
    first, wanted = session.analysis.layers[0], state.get("reach_from")
    names = [first.id, *(name for name in layers_before if name != first.id)]
    chosen = wanted if wanted in names else first.id
    state.keep(st.selectbox, "reach from", "From a unit of", chosen,
               lambda name: _begin_at("" if name == first.id else name), options=names,
               format_func=lambda name: "the picture" if name == first.id else name)  # fmt: skip
    if wanted and chosen != wanted:
        st.caption(markdown_safe(f"{wanted} is not before {report.id}, so a pixel is followed."))
    return session.analysis[chosen]


def _begin_at(name: str) -> None:
    """Follow the unit in the middle of another layer; "" is the picture."""
    for key, value in (("reach_from", name), ("pixel_row", -1), ("pixel_column", -1)):
        state.put(key, value)


def _what(origin: LayerReport) -> str:
    return "pixel" if origin.kind == "input" else "unit"


def _source(origin: LayerReport) -> Cell:
    """The chosen position of the layer at which the way begins, its middle where none is chosen."""
    return _chosen("pixel_", origin)


def _choose_source(cell: Cell) -> None:
    _choose("pixel_", cell)


def _reached(report: LayerReport, origin: LayerReport, source: Cell, mask: np.ndarray) -> str:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    ends = f": rows {rows[0]} to {rows[-1]}, columns {columns[0]} to {columns[-1]}" if len(rows) else ""
    gates = "Gates carry it to all others. " if report.receptive_field.is_global and not mask.all() else ""
    what = _what(origin) if origin.kind == "input" else f"unit of {origin.id}"
    return (
        f"The {what} at row {source[0]}, column {source[1]} reaches {int(mask.sum()):,} of the {mask.size:,} units of "
        f"{report.id}{ends} (yellow, each at the middle of what it sees). {gates}"
        f"Click the picture for another {_what(origin)}."
    )
