"""An occlusion map on the page: its maps over the picture, one position of the square, and files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st
from torch import Tensor

from explorer.analysis.activations import Prediction, predict
from explorer.analysis.occluder import occlude
from explorer.analysis.occlusion import OcclusionMap
from explorer.analysis.outputs import Output
from explorer.figures import occlusion as figures
from explorer.figures import prediction, raster
from explorer.figures.raster import Placement
from explorer.images import codec
from explorer.types import Cell, Size
from explorer.ui import components, picture_controls, state
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart
from explorer.ui.components import Legend, Outline
from explorer.ui.guard import guard
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting

ENDS = {"own": "From least to greatest", "zero": "From 0"}
LEAST_SPAN = 0.02  # of a probability: less is not drawn as if it were much
SETTINGS = (
    Setting("ends", "own", choices=tuple(ENDS)),
    Setting("position", "", of_network=True),
    Setting("summed", -1, low=-1, high=100_000, of_network=True),
    *picture_controls.SETTINGS,
)


@dataclass(frozen=True, eq=False)
class Shown:
    """What is drawn: the map found so far, what its squares are filled with, and the position that a person chose.

    chosen is None while the map still fills in. channel: the map of the layer that is shown beside the strongest. key:
    tells it from others on the page. Files are made of it in threads that cannot ask for the state.
    """

    session: Session
    found: OcclusionMap
    filling: Tensor
    chosen: Cell | None = None
    channel: int | None = None
    key: str = ""
    opacity: float = field(default_factory=lambda: state.get("opacity"))
    smooth: bool = field(default_factory=lambda: state.get("smooth"))

    @cached_property
    def view(self) -> np.ndarray:
        return self.session.view

    @cached_property
    def names(self) -> Sequence[str]:
        return self.session.categories

    @cached_property
    def placement(self) -> Placement:
        return figures.placement(self.found, self.session.preprocessing.crop)

    def scale(self, values: np.ndarray, baseline: float | None, least_span: float = 0.0) -> raster.Range:
        """What the ends of the colours stand for."""
        return figures.scale(values, baseline, state.get("ends") == "zero", least_span)

    def over(self, values: np.ndarray, scale: raster.Range) -> np.ndarray:
        """Values over the picture, as opacity and smoothness are set."""
        return figures.over(self.view, values, self.found.done, self.placement, scale, self.opacity, self.smooth)

    def classes(self) -> np.ndarray:
        """The most probable classes over the picture."""
        colours = figures.class_colours(self.found)
        return figures.classes(self.view, self.found, colours, self.placement, self.opacity)

    def summed(self) -> list[int]:
        """The maps of the layer whose sums are shown: the strongest, and the chosen one."""
        channels = [] if self.found.channel is None else [self.found.channel, self.channel]
        return [channel for channel in dict.fromkeys(channels) if channel is not None]

    @property
    def quantity(self) -> str:
        """What is shown of each class."""
        return "Value" if self.found.output == "logits" else "Probability"

    def said(self, value: Any) -> str:
        """A probability, or value, in words."""
        return prediction.in_words(float(value), self.found.output) if np.isfinite(value) else "NaN"

    def texts(self, say: Callable[[int, int], str]) -> list[list[str]]:
        """What is said of every position; nothing while the map fills in, which would send it all at every look."""
        rows, columns = self.found.shape
        if self.chosen is None or rows * columns > components.HOVERED:
            return []
        done = self.found.done
        return [[_at(say(r, c), r, c) if done[r, c] else "not tried" for c in range(columns)] for r in range(rows)]


def _at(text: str, row: int, column: int) -> str:
    return f"{text} · row {row}, column {column}"


def draw(shown: Shown) -> None:
    """All maps side by side, and the picture with the square at the chosen position if there is one."""
    parts = [probability, classes]
    parts += [lambda shown, channel=channel: activation(shown, channel) for channel in shown.summed()]
    parts += [_occluded] if shown.chosen else []
    with st.grid(min_column_width=250 if len(parts) < 4 else 205, gap="medium"):
        for part in parts:
            with st.container(), guard():
                part(shown)


def snapshot(found: OcclusionMap) -> OcclusionMap:
    """A copy of a map that still fills in; what it says is done, is there."""
    done = found.done.copy()
    activation, activations = (
        None if values is None else values.copy() for values in (found.activation, found.activations)
    )
    return replace(
        found, done=done, activation=activation, activations=activations, probability=found.probability.copy(),
        top_class=found.top_class.copy(), top_probability=found.top_probability.copy(),
    )  # fmt: skip


def _live(shown: Shown, picture: np.ndarray, title: str, texts: list[list[str]], legend: Legend) -> None:
    """A map as a live picture: the chosen square in a frame, the lowest one dashed."""
    found, chosen = shown.found, shown.chosen
    outlines = [] if chosen is None else [Outline(found.box(*found.lowest), "lowest", dashed=True),
                                          Outline(found.box(*chosen), "chosen")]  # fmt: skip
    st.markdown(f"**{markdown_safe(title)}**")
    components.picture(
        picture, f"{title} by position of the square", key=f"map {shown.key}{title}", at=shown.placement, texts=texts,
        outlines=outlines, legend=legend, chosen=chosen, pick=move if chosen else None,
    )  # fmt: skip


def probability(shown: Shown) -> None:
    """The map of the target's probability, or value, over the picture."""
    found, name = shown.found, shown.names[shown.found.target]
    low, high = scale = shown.scale(found.probability, found.baseline, LEAST_SPAN)
    legend = Legend("Low (dark): hiding this matters", raster.CIVIDIS, shown.said(low), shown.said(high))
    texts = shown.texts(lambda r, c: f"{name} {shown.said(found.probability[r, c])}")
    _live(shown, shown.over(found.probability, scale), f"{shown.quantity} of {name}", texts, legend)


def classes(shown: Shown) -> None:
    found, names = shown.found, shown.names
    entries = figures.class_legend(found, figures.class_colours(found), names)
    legend = Legend("Answer with the square there (positions)", names=entries)

    def say(row: int, column: int) -> str:
        index = int(found.top_class[row, column])
        return f"{names[index] if index >= 0 else 'no class'} {shown.said(found.top_probability[row, column])}"

    _live(shown, shown.classes(), "Most probable class", shown.texts(say), legend)


def activation(shown: Shown, channel: int) -> None:
    found = shown.found
    values, baseline = found.activation_of(channel)
    low, high = scale = shown.scale(values, baseline)
    legend = Legend(f"Low (dark): hiding this matters; {baseline:.4g} without a square",
                    raster.CIVIDIS, f"{low:.3g}", f"{high:.3g}")  # fmt: skip
    texts = shown.texts(lambda r, c: f"{values[r, c]:.4g}")
    which = " (strongest)" if channel == found.channel else ""
    _live(shown, shown.over(values, scale), f"Sum of map {channel}{which}", texts, legend)


# -- one position -----------------------------------------------------------------------------------------------------


def move(position: Cell) -> None:
    """Put the square at (row, column)."""
    state.put("position", encode_cell(position))


def encode_cell(cell: Cell) -> str:
    """A cell of a map as a link says it: "row,column"."""
    return f"{cell[0]},{cell[1]}"


def decode_cell(text: str, size: Size) -> Cell | None:
    """The cell that the text of a link names, moved into a map of `size`; None where it names none."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    row, column = (min(int(part[:9]), limit - 1) for part, limit in zip(parts, size, strict=True))
    return row, column


def _occluded(shown: Shown) -> None:
    assert shown.chosen is not None
    session, box = shown.session, shown.found.box(*shown.chosen)
    picture = occlude(session.input.cpu(), box, fill_value=shown.filling)
    pixels = session.preprocessing.pixels(picture)
    st.markdown("**With the square in place**")
    large = raster.enlarge(pixels, raster.zoom_of(pixels.shape[:2]))  # pyright: ignore[reportArgumentType]
    top, left, bottom, right = box
    st.image(large, width="stretch",
             alt=f"The picture without rows {top} to {bottom - 1}, columns {left} to {right - 1}")  # fmt: skip
    key, output = (*session.key, state.get("fill"), box), shown.found.output

    def work(job: Job) -> Prediction:
        return _predicted(key, output, session, picture, job.should_stop)

    predicted = awaited("occluded", (*key, output), "Running the network", work)
    if predicted is None:
        return
    if not predicted.is_finite:
        st.error("The output holds NaN or infinity.", icon=":material/error:")
        return
    chart(prediction.bars(predicted, shown.names), "occluded prediction")


@st.cache_data(max_entries=256, show_spinner=False)
def _predicted(
    key: Any, output: Output, _session: Session, _picture: Tensor, _cancel: Callable[[], bool]
) -> Prediction:
    image = _picture.to(_session.device)
    return predict(_session.load(_cancel).program, image, k=3, output=output, cancel=_cancel)


def position(shown: Shown) -> None:
    """Sliders that move the square, and what it hides."""
    assert shown.chosen is not None
    for axis, name in enumerate(("Row", "Column")):
        _slider(shown.chosen, axis, name, shown.found.shape[axis])
    top, left, bottom, right = shown.found.box(*shown.chosen)
    st.caption(f"The square hides rows {top} to {bottom - 1}, columns {left} to {right - 1}. Click a map to move it.")
    if state.get("position"):
        st.button("Back to the lowest", type="tertiary", icon=":material/undo:",
                  on_click=state.put, args=("position", ""))  # fmt: skip


def _slider(chosen: Cell, axis: int, name: str, count: int) -> None:
    if count > 1:
        state.keep(
            st.slider, f"occlusion {name}", f"{name} of the square", chosen[axis],
            lambda value: move((value, chosen[1]) if axis == 0 else (chosen[0], value)),
            min_value=0, max_value=count - 1,
        )  # fmt: skip


def files(shown: Shown) -> None:
    """How the maps are drawn, and buttons that hand them out as PNG and NPY."""
    state.control(st.segmented_control, "ends", "Colours of the values", options=list(ENDS), required=True,
                  format_func=ENDS.__getitem__)  # fmt: skip
    picture_controls.render()
    found = shown.found
    scale = shown.scale(found.probability, found.baseline, LEAST_SPAN)
    offered = {
        "Probability (PNG)": lambda: codec.encode_png(shown.over(found.probability, scale)),
        "Probability (NPY)": lambda: codec.encode_npy(found.probability),
        "Classes (PNG)": lambda: codec.encode_png(shown.classes()),
        "Classes (NPY)": lambda: codec.encode_npy(found.top_class),
    }
    for channel in shown.summed():
        offered[f"Sum of map {channel} (NPY)"] = lambda channel=channel: codec.encode_npy(
            found.activation_of(channel)[0]
        )
    with st.container(horizontal=True):
        for label, data in offered.items():
            name = "occlusion_" + label.lower().replace(" (", ".").rstrip(")").replace(" ", "_")
            st.download_button(label, data, name, on_click="ignore", icon=":material/download:")
