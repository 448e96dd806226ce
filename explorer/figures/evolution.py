"""How features grow over a training: the curves of layers, and units epoch by epoch on one sheet, as figure 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from explorer.analysis.evolution import SETTLED, Evolution, GrownUnit
from explorer.errors import in_percent
from explorer.figures import way_back
from explorer.figures.layers import GRAY
from explorer.figures.raster import CIVIDIS, contact_sheet, enlarge
from explorer.types import Box

GROWN_PX = 96
BELOW = {"orientation": "h", "yanchor": "top", "y": -0.2}  # a legend that leaves a phone's width to the curves


def similarity_chart(found: Evolution, epoch: int) -> go.Figure:
    """A line a layer, dark near the image, bright near the classes: similarity to the last epoch; `epoch` is marked."""
    figure = go.Figure()
    count = max(1, len(found.layers) - 1)
    for number, layer in enumerate(found.layers):
        figure.add_scatter(
            x=found.epochs, y=found.similarity[:, number], mode="lines+markers", name=f"{number + 1} · {layer}",
            line={"color": sample_colorscale(CIVIDIS, 0.42 + 0.48 * number / count)[0]},
            hovertemplate=f"{layer}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=epoch, line={"color": GRAY, "dash": "dot"})
    figure.update_xaxes(title="epoch", type="log", tickvals=found.epochs, ticktext=[str(e) for e in found.epochs])
    figure.update_yaxes(title=f"similarity to epoch {found.epochs[-1]} (CKA)", range=[0, 1.03])
    return figure.update_layout(height=380, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend=BELOW)


def settled_sentence(found: Evolution) -> str:
    """When the first and the last layer come near to what they become."""
    first, last = (found.settled(layer) for layer in (found.layers[0], found.layers[-1]))
    return (
        f"The first layer's features are those of the end to {in_percent(SETTLED)} from epoch {first} on, the last "
        f"layer's from epoch {last} on."
    )


def grown_pictures(
    units: Sequence[GrownUnit], view: Callable[[int], np.ndarray], seen: Callable[[GrownUnit], Box]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each unit its projection and the part of the image that it sees, uint8 squares of one size, at least GROWN_PX.

    view: the image of a number, uint8 [H, W, 3]. seen: the box that a unit sees of it.
    """
    boxes = [seen(unit) for unit in units]
    crops = [
        tuple(way_back.cropped(picture, box) for picture in (way_back.pixels(unit.projection), view(unit.image)))
        for unit, box in zip(units, boxes, strict=True)
    ]
    side = max((max(crop.shape[:2]) for pair in crops for crop in pair), default=1)
    return [(_square(projection, side), _square(image, side)) for projection, image in crops]


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture in the middle of a gray square of `side` pixels, enlarged by a whole factor."""
    height, width = picture.shape[:2]
    square = np.full((side, side, 3), 128, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = picture
    return enlarge(square, -(-GROWN_PX // side))


def growth_sheet(
    found: Evolution, channels: Sequence[int], units: Sequence[GrownUnit], pictures: Sequence[np.ndarray]
) -> np.ndarray:
    """The units' pictures on one sheet: a row a channel, a column an epoch; gray where nothing excites the channel."""
    by_place = {(unit.channel, unit.epoch): picture for unit, picture in zip(units, pictures, strict=True)}
    nothing = np.full_like(pictures[0], 128) if pictures else np.full((GROWN_PX, GROWN_PX, 3), 128, np.uint8)
    every = [by_place.get((channel, epoch), nothing) for channel in channels for epoch in found.epochs]
    return contact_sheet(every, len(found.epochs))
